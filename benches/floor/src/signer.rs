//! The user's key, parsed once, and libssh2's callback that signs with it: the one thing that the crate ssh2 does not
//! wrap. Also this process's CPU time.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    ptr,
    sync::OnceLock,
};

use libssh2_sys::LIBSSH2_SESSION;
use openssl::{
    base64::decode_block,
    pkey::{Id, PKey, Private},
    sign::Signer,
};
use ssh2::Session;

use crate::Outcome;

/// A key and its public half as it goes over the wire.
struct Key {
    public: Vec<u8>,
    private: PKey<Private>,
}

static KEY: OnceLock<Key> = OnceLock::new();

/// Reads the text of an unencrypted ed25519 key as ssh-keygen writes it.
pub(crate) fn load(text: &str) -> Outcome<()> {
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = decode_block(&base64)?;
    let bytes = bytes.strip_prefix(b"openssh-key-v1\0".as_slice());
    let mut rest = bytes.ok_or("no key of OpenSSH's form")?;
    for _ in ["cipher", "derivation", "its options"] {
        take_string(&mut rest)?;
    }
    take(&mut rest, 4)?; // the number of keys
    let public = take_string(&mut rest)?.to_vec();
    let mut secret = take_string(&mut rest)?;
    take(&mut secret, 8)?; // two check numbers
    if take_string(&mut secret)? != b"ssh-ed25519" {
        return Err("the key is encrypted or no ed25519 key".into());
    }
    take_string(&mut secret)?; // the public half once more
    let seed = take(&mut take_string(&mut secret)?, SEED_BYTES)?;
    let private = PKey::private_key_from_raw_bytes(seed, Id::ED25519)?;
    KEY.get_or_init(|| Key { public, private });
    Ok(())
}

/// Authenticates by the key that was loaded.
pub(crate) fn authenticate(session: &mut Session, user: &str) -> Outcome<()> {
    let key = KEY.get().ok_or("no key was loaded")?;
    let user = CString::new(user)?;
    let mut nothing: *mut c_void = ptr::null_mut();
    let mut raw = session.raw();
    // SAFETY: the guard holds the session's lock, so nobody else uses it; all pointers outlive the call.
    let code = unsafe {
        libssh2_userauth_publickey(
            &raw mut *raw,
            user.as_ptr(),
            key.public.as_ptr(),
            key.public.len(),
            sign,
            &raw mut nothing,
        )
    };
    if code == 0 {
        Ok(())
    } else {
        Err(format!("authentication failed: {code}").into())
    }
}

/// CPU time of this process so far, user and system.
pub(crate) fn processor_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes one timespec, which is there.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Signs for libssh2, which frees the signature by `free`.
unsafe extern "C" fn sign(
    _session: *mut LIBSSH2_SESSION,
    signature: *mut *mut u8,
    length: *mut usize,
    data: *const u8,
    data_length: usize,
    _nothing: *mut *mut c_void,
) -> c_int {
    let Some(key) = KEY.get() else { return -1 };
    // SAFETY: libssh2 gives a pointer to so many bytes, and leaves them alone until this returns.
    let data = unsafe { std::slice::from_raw_parts(data, data_length) };
    let signer = Signer::new_without_digest(&key.private);
    let Ok(made) = signer.and_then(|mut signer| signer.sign_oneshot_to_vec(data)) else {
        return -1;
    };
    // SAFETY: the memory is as long as what is copied there, and both out pointers are libssh2's own variables.
    unsafe {
        let copy: *mut u8 = libc::malloc(made.len()).cast();
        if copy.is_null() {
            return -1;
        }
        ptr::copy_nonoverlapping(made.as_ptr(), copy, made.len());
        *signature = copy;
        *length = made.len();
    }
    0
}

/// Takes so many bytes off the front.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Outcome<&'a [u8]> {
    let (front, back) = rest.split_at_checked(length).ok_or("the key is cut off")?;
    *rest = back;
    Ok(front)
}

/// Takes a length and so many bytes off the front.
fn take_string<'a>(rest: &mut &'a [u8]) -> Outcome<&'a [u8]> {
    let length = u32::from_be_bytes(take(rest, 4)?.try_into()?);
    take(rest, length as usize)
}

type Sign = unsafe extern "C" fn(
    *mut LIBSSH2_SESSION,
    *mut *mut u8,
    *mut usize,
    *const u8,
    usize,
    *mut *mut c_void,
) -> c_int;

unsafe extern "C" {
    /// Public-key authentication in which the caller signs; libssh2-sys does not declare it.
    fn libssh2_userauth_publickey(
        session: *mut LIBSSH2_SESSION,
        user: *const c_char,
        public: *const u8,
        public_length: usize,
        sign: Sign,
        nothing: *mut *mut c_void,
    ) -> c_int;
}

/// Length of the secret that an ed25519 key is made of.
const SEED_BYTES: usize = 32;
