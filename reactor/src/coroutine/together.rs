//! Several calls side by side that may borrow from the caller.
//!
//! Invariant, cited by the `SAFETY` comment:
//! - **G8**: what a call borrows outlives it. Every green thread that was started is joined before
//!   the caller's frame is left; a green thread cannot be cancelled (G6) and its closure is gone
//!   once it is joined; and should the wait itself ever unwind, the process ends.

use std::mem;

use parking_lot::Mutex;

use super::{Panic, caught, spawn};

/// A call that may borrow.
type Call<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Calls that can be made side by side: a tuple of two to eight closures.
///
/// What it asks of them is [`join`]'s and [`try_join`]'s concern.
pub trait Calls {
    /// What they return, in their order.
    type Values;
    /// What they return, or how they panicked, in their order.
    type Results;

    #[doc(hidden)]
    fn call(self) -> Self::Results;

    #[doc(hidden)]
    fn values(results: Self::Results) -> Result<Self::Values, Panic>;
}

/// Makes several calls side by side, each but the last on a green thread of its own, and returns
/// what they returned. Parks until all have. They may borrow from the caller.
///
/// # Panics
///
/// With the message of the first call that panicked, after all have ended.
///
/// # Examples
///
/// ```
/// let text = String::from("abc");
/// let (length, upper) = sshoal_reactor::join((|| text.len(), || text.to_uppercase()));
/// assert_eq!((length, upper.as_str()), (3, "ABC"));
/// ```
pub fn join<C: Calls>(calls: C) -> C::Values {
    match C::values(calls.call()) {
        Ok(values) => values,
        // The hook has told of it already.
        Err(panic) => std::panic::resume_unwind(Box::new(panic.message().to_owned())),
    }
}

/// As [`join`], with each panic as the result of its call alone. Parks.
pub fn try_join<C: Calls>(calls: C) -> C::Results {
    calls.call()
}

macro_rules! calls {
    ($($call:ident $value:ident $slot:ident),*) => {
        #[expect(non_snake_case, reason = "named after the type parameters")]
        impl<$($call, $value),*> Calls for ($($call,)*)
        where
            $($call: FnOnce() -> $value + Send, $value: Send,)*
        {
            type Values = ($($value,)*);
            type Results = ($(Result<$value, Panic>,)*);

            fn call(self) -> Self::Results {
                let ($($call,)*) = self;
                $(let mut $slot = None;)*
                let ended = together(vec![$(Box::new(|| $slot = Some($call()))),*]);
                let mut ended = ended.into_iter();
                ($(
                    match ended.next().expect("as many ends as calls") {
                        Ok(()) => Ok($slot.expect("a call that returned left its value")),
                        Err(panic) => Err(panic),
                    },
                )*)
            }

            fn values(results: Self::Results) -> Result<Self::Values, Panic> {
                let ($($slot,)*) = results;
                Ok(($($slot?,)*))
            }
        }
    };
}

calls!(A T a, B U b);
calls!(A T a, B U b, C V c);
calls!(A T a, B U b, C V c, D W d);
calls!(A T a, B U b, C V c, D W d, E X e);
calls!(A T a, B U b, C V c, D W d, E X e, F Y f);
calls!(A T a, B U b, C V c, D W d, E X e, F Y f, G Z g);
calls!(A T a, B U b, C V c, D W d, E X e, F Y f, G Z g, H S h);

/// Ends the process if it is dropped.
struct NoWayOut;

impl Drop for NoWayOut {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// Makes calls side by side and waits for all of them. Where there is no stack for one, the caller
/// makes it after the others. Parks.
fn together(calls: Vec<Call<'_>>) -> Vec<Result<(), Panic>> {
    let waiting: Vec<Mutex<Option<Call<'_>>>> = calls
        .into_iter()
        .map(|call| Mutex::new(Some(call)))
        .collect();
    let no_way_out = NoWayOut;
    let elsewhere = waiting.len().saturating_sub(1);
    let started: Vec<_> = (waiting.iter().take(elsewhere))
        .map(|place| {
            let call: Call<'_> = Box::new(move || {
                if let Some(call) = take(place) {
                    call();
                }
            });
            // SAFETY: G8: it is joined below, before what it borrows goes.
            let call = unsafe { mem::transmute::<Call<'_>, Call<'static>>(call) };
            spawn(call)
        })
        .collect();
    let own = waiting.last().and_then(take).map(caught);
    let mut ended: Vec<_> = (started.into_iter().zip(&waiting))
        .map(|(started, place)| match started {
            Ok(handle) => handle.join(),
            Err(_) => take(place).map_or(Ok(()), caught),
        })
        .collect();
    ended.extend(own);
    mem::forget(no_way_out);
    ended
}

/// Takes a call that nobody has made.
fn take<'a>(place: &Mutex<Option<Call<'a>>>) -> Option<Call<'a>> {
    place.lock().take()
}
