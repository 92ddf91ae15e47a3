//! What a session or a channel is set to before it is used.

use libssh2_sys as sys;

use super::{Called, ChannelId, Library, done, length};

impl Library {
    /// Lets the two sides agree on compression; before the preferences are set.
    pub(crate) fn allow_compression(&mut self) {
        self.session.allow_compression();
    }

    /// Sets a variable for what the channel will run (RFC 4254 §6.4).
    pub(crate) fn set_variable(
        &mut self,
        channel: ChannelId,
        name: &[u8],
        value: &[u8],
    ) -> Called<()> {
        let (name_length, value_length) = (length(name)?, length(value)?);
        self.on(channel, |pointer| {
            // SAFETY: F2, F3, F5.
            done(unsafe {
                sys::libssh2_channel_setenv_ex(
                    pointer,
                    name.as_ptr().cast(),
                    name_length,
                    value.as_ptr().cast(),
                    value_length,
                )
            })
        })
    }
}

/// Returns the algorithms that the linked libssh2 has; none where memory is short.
pub(crate) fn supported_algorithms(method: ssh2::MethodType) -> Vec<&'static str> {
    let session = ssh2::Session::new();
    let names = session.and_then(|session| session.supported_algs(method));
    names.unwrap_or_default()
}
