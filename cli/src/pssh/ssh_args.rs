//! Arguments of ssh, scp and rsync, as `-x`, `-X` and `-S` hand them on.
//!
//! The principal type is [`Handed`]. What is not known here is refused by name: left out, it would
//! change in silence what is done.

use std::path::PathBuf;

use sshoal::ssh_config::quote;

/// What the arguments ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Handed {
    /// Options of ssh_config, the one that counts first.
    pub(crate) options: Vec<String>,
    /// Read in place of the user's file and the system's.
    pub(crate) config_file: Option<PathBuf>,
    /// What ssh prints before anything else, on each host's standard error.
    pub(crate) preface: String,
    /// How often a terminal was asked for, since it was last forbidden.
    pub(crate) terminal: u8,
    pub(crate) recursive: bool,
    pub(crate) preserve: bool,
    pub(crate) delete: bool,
    pub(crate) dry_run: bool,
    pub(crate) checksum: bool,
    pub(crate) links: bool,
    pub(crate) exclude: Vec<String>,
    /// Bits a second, in thousands.
    pub(crate) kilobits: Option<u64>,
}

/// Whose arguments they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Ssh,
    Scp,
}

impl Handed {
    /// Takes arguments of ssh or scp in.
    ///
    /// # Errors
    /// Names the first one that is not honoured.
    pub(crate) fn add(&mut self, program: Program, args: &[String]) -> Result<(), String> {
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                return Err(unknown(arg));
            };
            for (at, letter) in letters.char_indices() {
                if takes_value(program, letter) {
                    let glued = &arg[1 + at + letter.len_utf8()..];
                    let value = match glued.is_empty() {
                        true => rest.next().cloned(),
                        false => Some(glued.to_owned()),
                    };
                    let value = value.ok_or_else(|| format!("-{letter} needs a value"))?;
                    self.value(program, letter, value)?;
                    break;
                }
                self.flag(program, letter).ok_or_else(|| unknown(arg))?;
            }
        }
        Ok(())
    }

    /// Takes a flag in; `None` if it is not honoured.
    fn flag(&mut self, program: Program, letter: char) -> Option<()> {
        let option = match (program, letter) {
            (_, '4') => "AddressFamily=inet",
            (_, '6') => "AddressFamily=inet6",
            (_, 'C') => "Compression=yes",
            (_, 'q') => "LogLevel=QUIET",
            (_, 'A') => "ForwardAgent=yes",
            (Program::Ssh, 'a') => "ForwardAgent=no",
            (Program::Scp, 'B') => "BatchMode=yes",
            (Program::Ssh, 't') => {
                self.terminal = self.terminal.saturating_add(1);
                return Some(());
            }
            (Program::Ssh, 'T') => {
                self.terminal = 0;
                return Some(());
            }
            (Program::Scp, 'r') => {
                self.recursive = true;
                return Some(());
            }
            (Program::Scp, 'p') => {
                self.preserve = true;
                return Some(());
            }
            // No display, no GSSAPI, no input; of scp, which protocol and how names are checked.
            (Program::Ssh, 'x' | 'k' | 'n') | (Program::Scp, 'O' | 's' | 'T') => return Some(()),
            _ => return None,
        };
        self.options.push(option.to_owned());
        Some(())
    }

    fn value(&mut self, program: Program, letter: char, value: String) -> Result<(), String> {
        let option = match (program, letter) {
            (_, 'o') => value,
            (_, 'i') => match self.identity(&value) {
                Some(option) => option,
                None => return Ok(()),
            },
            (_, 'J') => format!("ProxyJump={value}"),
            (_, 'c') => format!("Ciphers={value}"),
            (_, 'F') => {
                self.config_file = Some(value.into());
                return Ok(());
            }
            (Program::Scp, 'l') => {
                let kilobits = value.parse().ok().filter(|kilobits| *kilobits > 0);
                self.kilobits = Some(kilobits.ok_or_else(|| format!("-l {value} is no rate"))?);
                return Ok(());
            }
            (Program::Ssh, 'l') => format!("User={}", quote(&value)),
            (Program::Ssh, 'p') | (Program::Scp, 'P') => format!("Port={value}"),
            (Program::Ssh, 'm') => format!("MACs={value}"),
            (Program::Ssh, 'b') => format!("BindAddress={value}"),
            // The escape character is a terminal's matter.
            _ => return Ok(()),
        };
        self.options.push(option);
        Ok(())
    }

    /// Returns the option for a key; ssh leaves out one that is not there, and says so.
    fn identity(&mut self, value: &str) -> Option<String> {
        let path = match (value.strip_prefix("~/"), std::env::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(value),
        };
        if let Err(error) = path.metadata() {
            let (path, reason) = (path.display(), crate::wording::os_text(&error));
            self.preface += &format!("Warning: Identity file {path} not accessible: {reason}.\n");
            return None;
        }
        let path = path.display().to_string().replace('%', "%%");
        Some(format!("IdentityFile={}", quote(&path)))
    }

    /// Takes arguments of rsync in.
    ///
    /// # Errors
    /// Names the first one that is not honoured.
    pub(crate) fn add_rsync(&mut self, args: &[String]) -> Result<(), String> {
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match arg.as_str() {
                "--delete" => self.delete = true,
                "--recursive" => self.recursive = true,
                "--archive" => self.archive(),
                "--checksum" => self.checksum = true,
                "--dry-run" => self.dry_run = true,
                "--links" => self.links = true,
                "--times" | "--perms" => self.preserve = true,
                "--compress" | "--quiet" | "--verbose" | "--owner" | "--group" => {}
                "--exclude" => {
                    let pattern = rest.next().ok_or("--exclude needs a value")?;
                    self.exclude.push(pattern.clone());
                }
                long if long.starts_with("--exclude=") => {
                    self.exclude.push(long["--exclude=".len()..].to_owned());
                }
                short => {
                    let letters = short.strip_prefix('-').filter(|l| !l.starts_with('-'));
                    let letters = letters.filter(|letters| !letters.is_empty());
                    for letter in letters.ok_or_else(|| unknown(arg))?.chars() {
                        self.rsync_flag(letter).ok_or_else(|| unknown(arg))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn rsync_flag(&mut self, letter: char) -> Option<()> {
        match letter {
            'r' => self.recursive = true,
            'a' => self.archive(),
            'l' => self.links = true,
            't' | 'p' => self.preserve = true,
            'c' => self.checksum = true,
            'n' => self.dry_run = true,
            'z' | 'q' | 'v' | 'o' | 'g' => {}
            _ => return None,
        }
        Some(())
    }

    /// All that archive mode is, as far as this goes.
    pub(crate) fn archive(&mut self) {
        (self.recursive, self.preserve, self.links) = (true, true, true);
    }

    /// Whether ssh is to say nothing of itself.
    pub(crate) fn is_quiet(&self) -> bool {
        let level = self.options.iter().find_map(|option| {
            let (name, level) = option.split_once(['=', ' '])?;
            let is_level = name.trim().eq_ignore_ascii_case("loglevel");
            is_level.then(|| level.trim().to_uppercase())
        });
        level.is_some_and(|level| matches!(level.as_str(), "QUIET" | "SILENT" | "FATAL"))
    }
}

fn takes_value(program: Program, letter: char) -> bool {
    let letters = match program {
        Program::Ssh => "oiJcFlpmbe",
        Program::Scp => "oiJcFlP",
    };
    letters.contains(letter)
}

fn unknown(arg: &str) -> String {
    format!("argument {arg:?} is not supported; leave it out, or say it as an option (-O)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(args: &[&str]) -> Vec<String> {
        args.iter().map(ToString::to_string).collect()
    }

    fn handed(program: Program, args: &[&str]) -> Result<Handed, String> {
        let mut handed = Handed::default();
        handed.add(program, &strings(args))?;
        Ok(handed)
    }

    #[test]
    fn arguments_of_ssh_become_options() {
        let all = [
            "-4Cp", "22", "-oA=b", "-o", "C d", "-tt", "-l", "ann", "-J", "gate", "-x",
        ];
        let all = handed(Program::Ssh, &all).unwrap();
        let expected = [
            "AddressFamily=inet",
            "Compression=yes",
            "Port=22",
            "A=b",
            "C d",
            "User=ann",
            "ProxyJump=gate",
        ];
        assert_eq!(all.options, expected);
        assert_eq!(all.terminal, 2);
        for wrong in [
            &["-v"][..],
            &["-L", "1:a:2"],
            &["word"],
            &["-4z"],
            &["-p"],
            &["-"],
        ] {
            assert!(handed(Program::Ssh, wrong).is_err(), "{wrong:?}");
        }
        let message = handed(Program::Ssh, &["-N"]).unwrap_err();
        assert!(message.contains("\"-N\""), "{message}");
    }

    #[test]
    fn a_letter_may_mean_another_thing_to_scp() {
        let all = handed(Program::Scp, &["-rpP", "22", "-l", "800"]).unwrap();
        assert!(all.recursive && all.preserve);
        assert_eq!(
            (all.options, all.kilobits),
            (strings(&["Port=22"]), Some(800))
        );
        assert!(handed(Program::Scp, &["-l", "0"]).is_err());
        assert!(handed(Program::Scp, &["-3"]).is_err());
    }

    #[test]
    fn a_key_that_is_not_there_is_told_and_left_out() {
        let path = "/nonexistent/key";
        let all = handed(Program::Ssh, &["-i", path]).unwrap();
        assert_eq!(all.options, Vec::<String>::new());
        let expected =
            format!("Warning: Identity file {path} not accessible: No such file or directory.\n");
        assert_eq!(all.preface, expected);
    }

    #[test]
    fn arguments_of_rsync_are_those_that_we_know() {
        let mut all = Handed::default();
        let args = ["-az", "--delete", "--exclude=*.o", "--exclude", "x", "-c"];
        all.add_rsync(&strings(&args)).unwrap();
        assert!(all.recursive && all.preserve && all.links && all.delete && all.checksum);
        assert_eq!(all.exclude, ["*.o", "x"]);
        for wrong in ["--bwlimit=3", "-u", "x", "-", "--"] {
            let mut other = Handed::default();
            assert!(other.add_rsync(&strings(&[wrong])).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_level_of_the_log_counts() {
        let quiet = handed(Program::Ssh, &["-q"]).unwrap();
        assert!(quiet.is_quiet());
        let loud = handed(Program::Ssh, &["-oLogLevel=info", "-q"]).unwrap();
        assert!(!loud.is_quiet());
    }
}
