//! Why a launch cannot be, and what `sudo` said.

/// What a [`Launch`](crate::Launch) was asked for and cannot be; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// No shell takes this as the name of a variable.
    #[error("{name:?} is no variable's name: letters, digits and `_`, no digit first")]
    VariableName {
        /// The name.
        name: String,
    },
    /// The working directory's path is empty.
    #[error("the path of the working directory is empty")]
    Dir,
    /// The shell has no name, or one that begins with `-`.
    #[error("{shell:?} is no shell")]
    Shell {
        /// The shell's words, joined by spaces.
        shell: String,
    },
    /// The user for `sudo` has no name, or one that could be taken for something else.
    #[error("{user:?} is no user for sudo")]
    User {
        /// The user.
        user: String,
    },
    /// The password for `sudo` is empty or cannot be typed in one line: it has a line break or a
    /// NUL byte or, for a terminal, a control character.
    #[error("the password for sudo is empty or cannot be typed in one line")]
    Password,
    /// The terminal's type is no plain word of at most 64 characters, it has no columns or rows, or
    /// more than 36 modes.
    #[error("no terminal can be like this: {what}")]
    Terminal {
        /// What is wrong.
        what: &'static str,
    },
}

/// Why `sudo` did not begin the command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SudoError {
    /// It asked for the password again; it was given once.
    #[error("sudo: the password for {user} was refused")]
    WrongPassword {
        /// The user whom the command was to run as.
        user: String,
    },
    /// It could not be run, or did not want to.
    #[error("sudo did not run the command: {said}")]
    Refused {
        /// What came on standard error, in one line, cut after 1,000 characters.
        said: String,
    },
}
