//! Facts about the user who runs this process, and about what this machine allows.

use std::num::NonZeroUsize;

use sshoal::LocalLimits;

/// Returns why the pool will be smaller than was asked for, if it will, and what to do about it.
pub(crate) fn shortages(asked: Option<NonZeroUsize>, hosts: usize) -> Vec<String> {
    // As the engine does before it makes the pool.
    let _ = sshoal::raise_descriptor_limit();
    let sessions = asked.map_or(0, |asked| asked.get().min(hosts));
    LocalLimits::find().shortages(sessions)
}

/// Returns the local user's name: of the user id, as ssh takes it, before the environment's.
pub(crate) fn user() -> Option<String> {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let from_environment = |name| std::env::var(name).ok().filter(|user| !user.is_empty());
    user_of(&passwd, uid)
        .or_else(|| from_environment("LOGNAME"))
        .or_else(|| from_environment("USER"))
}

fn user_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_user_of_an_id() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nbad line\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user_of(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(user_of(passwd, 0).as_deref(), Some("root"));
        assert_eq!(user_of(passwd, 7), None);
    }
}
