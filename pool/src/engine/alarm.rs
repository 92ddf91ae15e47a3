//! The wait for a moment at which something can be begun: a pause that is over, a rate's next turn,
//! the end of a hold after a local limit.
//!
//! One green thread waits for all of a pool; a second one comes only for an earlier moment. None of
//! them keeps a pool alive.

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::Engine;

/// Has the engine begin what can be begun at that time.
pub(super) fn set(engine: &Arc<Engine>, at: Instant) {
    let weak = Arc::downgrade(engine);
    let green = sshoal_reactor::spawn({
        let weak = Weak::clone(&weak);
        move || ring(&weak, at)
    });
    if green.is_ok() {
        return;
    }
    let thread = std::thread::Builder::new().name("sshoal-alarm".into());
    let for_thread = Weak::clone(&weak);
    if thread.spawn(move || ring(&for_thread, at)).is_err() {
        // Without a thread of any sort the caller waits itself: a run has to end.
        ring(&weak, at);
    }
}

/// Waits, and goes on as long as the engine has a next moment.
fn ring(engine: &Weak<Engine>, mut at: Instant) {
    loop {
        sshoal_reactor::sleep(at.saturating_duration_since(Instant::now()));
        let Some(engine) = engine.upgrade().filter(|engine| engine.rang(at)) else {
            return;
        };
        match engine.begin_all() {
            Some(next) => at = next,
            None => return,
        }
    }
}
