//! Refuses a build against the system's libssh2 (law S12): releases up to 1.11.1 carry known memory
//! errors, and calls that this crate makes are not in them.

fn main() {
    const NAME: &str = "LIBSSH2_SYS_USE_PKG_CONFIG";
    println!("cargo::rerun-if-env-changed={NAME}");
    if std::env::var_os(NAME).is_some() {
        println!("cargo::error=unset {NAME}: sshoal needs the libssh2 that libssh2-sys brings");
    }
}
