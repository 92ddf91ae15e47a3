//! The outcomes of a run as a stream, for the tasks of a runtime.

use futures_core::Stream;
use futures_util::stream;
use sshoal::{Outcome, Run, RunHandle};
use tokio::{sync::mpsc, task};

/// Returns the run's outcomes as they come; no thread of the runtime waits for them.
///
/// Dropping the stream cancels the run.
pub fn outcomes(run: Run) -> impl Stream<Item = Outcome> + Unpin {
    let cancel = Cancel(run.handle());
    let (sender, mut receiver) = mpsc::channel(1);
    task::spawn_blocking(move || {
        for outcome in run {
            if sender.blocking_send(outcome).is_err() {
                break;
            }
        }
    });
    stream::poll_fn(move |context| {
        let _kept = &cancel;
        receiver.poll_recv(context)
    })
}

/// Cancels the run when it is dropped, so that its thread does not wait for hosts that nobody waits for.
struct Cancel(RunHandle);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
