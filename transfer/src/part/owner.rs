//! Who writes a part file, told by its name.

use std::fs;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use super::now;

/// Who writes a part file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    /// 0 of a file that its copy gave up in order.
    machine: u32,
    process: u32,
    /// When the process began, in the machine's own count.
    begun: u64,
    pub(super) number: u64,
}

/// What is known of whoever writes a part file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It gave the file up, or its process has ended.
    Over,
    /// It is a copy of this process.
    Ours,
    /// It is a process of this machine, which goes on.
    Alive,
    /// It is a process of another machine.
    Unknown,
}

impl Owner {
    /// Returns this process, at its copy of this number.
    pub(super) fn ours(number: u64) -> Self {
        let (machine, begun) = ourselves();
        Self {
            machine,
            process: std::process::id(),
            begun,
            number,
        }
    }

    /// Returns nobody, under a name that nobody else has.
    pub(super) fn nobody(number: u64) -> Self {
        Self {
            machine: 0,
            process: std::process::id(),
            begun: nanoseconds(),
            number,
        }
    }

    /// Returns how a name tells it.
    pub(super) fn text(self) -> Vec<u8> {
        let Self {
            machine,
            process,
            begun,
            number,
        } = self;
        format!("{machine:x}-{process:x}-{begun:x}-{number:x}").into_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut numbers = text
            .split('-')
            .map(|digits| u64::from_str_radix(digits, 16).ok());
        let mut number = || numbers.next().flatten();
        let owner = Self {
            machine: u32::try_from(number()?).ok()?,
            process: u32::try_from(number()?).ok()?,
            begun: number()?,
            number: number()?,
        };
        (owner.text() == bytes).then_some(owner)
    }

    pub(super) fn standing(self) -> Standing {
        let (machine, begun) = ourselves();
        if self.machine == 0 {
            return Standing::Over;
        }
        if self.process == std::process::id() && (self.machine, self.begun) == (machine, begun) {
            return Standing::Ours;
        }
        if self.machine != machine || machine == UNKNOWN {
            return Standing::Unknown;
        }
        match self::begun(&self.process.to_string()) == Some(self.begun) {
            true => Standing::Alive,
            false => Standing::Over,
        }
    }
}

/// Returns what tells this machine, and the start of this process, from others.
fn ourselves() -> (u32, u64) {
    static OURSELVES: OnceLock<(u32, u64)> = OnceLock::new();
    *OURSELVES.get_or_init(|| {
        let told = |path| fs::read(path).unwrap_or_default();
        // Containers may share the number of their machine, but not the numbers of processes.
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let machine = Sha256::new()
            .chain_update(told("/etc/machine-id"))
            .chain_update(told("/proc/sys/kernel/random/boot_id"))
            .chain_update(space.as_os_str().as_encoded_bytes())
            .finalize();
        let machine = machine
            .first_chunk()
            .map(|first| u32::from_be_bytes(*first));
        match (machine, begun("self")) {
            (Some(machine), Some(begun)) => (machine.clamp(1, UNKNOWN - 1), begun),
            // The moment tells it from processes of the same number on such machines.
            _ => (UNKNOWN, nanoseconds()),
        }
    })
}

fn nanoseconds() -> u64 {
    u64::try_from(now().as_nanos()).unwrap_or(u64::MAX)
}

/// Returns when a process began, where there is one (`starttime` of proc_pid_stat(5)).
fn begun(process: &str) -> Option<u64> {
    let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything: the fields are counted behind its end.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = fields.split_whitespace();
    // A process that ended and was not waited for writes nothing.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The longest text: four numbers.
pub(super) const LONGEST: usize = 8 + 1 + 8 + 1 + 16 + 1 + 16;
/// Of a machine where processes cannot be told apart.
const UNKNOWN: u32 = u32::MAX;

#[cfg(test)]
impl Owner {
    /// Returns a process of a machine that nobody knows.
    pub(super) fn stranger() -> Self {
        let ours = Self::ours(1);
        Self {
            machine: ours.machine ^ 2,
            process: 1,
            begun: 1,
            number: 1,
        }
    }

    /// Returns this process's parent as it is, and as one that had its number before; `None` where
    /// processes cannot be told apart.
    pub(super) fn parents() -> Option<[Self; 2]> {
        let ours = Self::ours(1);
        if ours.machine == UNKNOWN {
            return None;
        }
        let process = std::os::unix::process::parent_id();
        let begun = begun(&process.to_string())?;
        Some([begun, begun + 1].map(|begun| Self {
            process,
            begun,
            ..ours
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_back_and_no_other_is() {
        let most = Owner {
            machine: u32::MAX,
            process: u32::MAX,
            begun: u64::MAX,
            number: u64::MAX,
        };
        for owner in [Owner::ours(7), Owner::nobody(8), most] {
            let text = owner.text();
            assert!(text.len() <= LONGEST);
            assert_eq!(Owner::parse(&text), Some(owner));
        }
        for odd in ["", "1-2-3", "1-2-3-4-5", "01-2-3-4", "+1-2-3-4", "x-1-2-3"] {
            assert_eq!(Owner::parse(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn whether_a_process_goes_on_is_known_of_this_machine_alone() {
        assert_eq!(Owner::ours(1).standing(), Standing::Ours);
        assert_eq!(Owner::nobody(1).standing(), Standing::Over);
        assert_eq!(Owner::stranger().standing(), Standing::Unknown);
        if let Some([parent, before]) = Owner::parents() {
            assert_eq!(parent.standing(), Standing::Alive);
            assert_eq!(before.standing(), Standing::Over);
        }
    }
}
