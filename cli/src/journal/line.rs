//! What a journal's lines say: one JSON object each, the plan first.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// What is to be done; the first line, and no other.
    Plan(Box<Plan>),
    /// A run goes on with what another one left, at this time.
    Resumed(String),
    /// The host at this position let us in, and is asked to run the command. Older journals have the
    /// moment at which it accepted that.
    #[serde(alias = "accepted")]
    Asked(usize),
    /// A host ended.
    Ended(Ended),
    /// The run is over.
    Over(Over),
}

/// What is to be done, and all it takes to do it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// The run's name.
    pub(crate) run: String,
    /// When it was begun, in RFC 3339.
    pub(crate) begun: String,
    /// The working directory.
    pub(crate) directory: Text,
    /// What was typed behind the program's name.
    pub(crate) words: Vec<Text>,
    /// How many of them, at the end, are the command's.
    pub(crate) command_words: usize,
    /// Variables of the environment that count as if they had been typed.
    pub(crate) variables: BTreeMap<String, Text>,
    /// The command as it was typed.
    pub(crate) command: Text,
    /// What it reads on this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inputs: Vec<InputPlan>,
    /// In input order.
    pub(crate) hosts: Vec<HostPlan>,
}

/// Something that a run reads on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputPlan {
    pub(crate) path: Text,
    /// What changes with it; empty for standard input, which nobody can read again.
    pub(crate) state: String,
}

/// One host of the plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HostPlan {
    /// As it was named.
    pub(crate) host: String,
    /// ssh_config options for it alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
    /// What it is asked to run, if that is not the same for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<Text>,
    /// What is copied and last where to, if that is not the same for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<Text>,
}

/// How a host ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// The host's position in the plan.
    pub(crate) index: usize,
    /// The outcome's word, as in `--jsonl`.
    pub(crate) outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exit_status: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exit_signal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// Whether the command may have been begun.
    pub(crate) started: bool,
    pub(crate) attempts: u32,
    /// When the host was begun, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    pub(crate) duration_s: f64,
    /// SHA-256 of what the command printed, in hexadecimal; `None` if it printed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stdout_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stderr_sha256: Option<String>,
}

/// How a run, or one that went on with it, came to its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Over {
    /// In RFC 3339.
    pub(super) at: String,
    pub(super) exit_code: u8,
}

/// Bytes that are text most of the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    Utf8(String),
    Other {
        /// In base64.
        base64: String,
    },
}

impl Text {
    /// Keeps bytes.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Utf8(text.to_owned()),
            Err(_) => Self::Other {
                base64: STANDARD.encode(bytes),
            },
        }
    }

    /// Returns the bytes; `None` if they were not written by [`Text::new`].
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Utf8(text) => Some(text.clone().into_bytes()),
            Self::Other { base64 } => STANDARD.decode(base64).ok(),
        }
    }
}

impl Ended {
    /// Whether the run did with this host what it was to do: the host ended by itself. One that
    /// was lost before it answered is left, as one that was never reached.
    pub(crate) fn is_done(&self) -> bool {
        self.outcome != "cancelled" && self.started && self.phase.as_deref() != Some("open")
    }

    /// Whether the command ended with exit status 0.
    pub(crate) fn is_good(&self) -> bool {
        self.exit_status == Some(0)
    }

    /// Returns how it ended, for people.
    pub(crate) fn verdict(&self) -> String {
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        match self.outcome.as_str() {
            "exited" if self.is_good() => "ok".to_owned(),
            "exited" => format!("exit {}", self.exit_status.unwrap_or_default()),
            "signaled" => format!("signal {}", word(&self.exit_signal)),
            "no_status" => "no exit status".to_owned(),
            "failed" => format!("failed: {} {}", word(&self.phase), word(&self.kind)),
            other => format!("{other}: {}", word(&self.phase)),
        }
    }
}

/// The form of the lines; a journal of another one is not read.
pub(super) const FORMAT: u32 = 1;
