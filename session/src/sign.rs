//! The hand-over between libssh2's signing callback and who makes the signature (law S9).

use zeroize::Zeroizing;

/// One signature: asked for by the callback, made outside it, and then handed back.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    step: Step,
}

#[derive(Debug, Default)]
enum Step {
    #[default]
    Idle,
    Wanted(Zeroizing<Vec<u8>>),
    Ready(Zeroizing<Vec<u8>>),
    Refused,
}

impl Signing {
    /// Answers the callback: `None` means "not yet".
    pub(crate) fn answer(&mut self, data: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, ()> {
        match std::mem::take(&mut self.step) {
            Step::Ready(signature) => Ok(Some(signature)),
            Step::Refused => Err(()),
            Step::Idle | Step::Wanted(_) => {
                self.step = Step::Wanted(Zeroizing::new(data.to_vec()));
                Ok(None)
            }
        }
    }

    /// Takes the data that is to be signed, if the callback asked.
    pub(crate) fn take_wanted(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        match std::mem::take(&mut self.step) {
            Step::Wanted(data) => Some(data),
            other => {
                self.step = other;
                None
            }
        }
    }

    /// Sets what the callback's next call gets: a signature, or a refusal.
    pub(crate) fn set(&mut self, signature: Option<Zeroizing<Vec<u8>>>) {
        self.step = signature.map_or(Step::Refused, Step::Ready);
    }
}
