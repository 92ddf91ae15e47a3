//! What hosts ask of the user through a worker: the run has the terminal.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread;

use sshoal::{Host, Secret};

use super::Set;
use super::inbox::Breach;
use super::link::Link;
use super::wire::Order;

/// A host's question.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) host: Host,
    pub(super) name: String,
    pub(super) instruction: String,
    /// Texts, and whether the answer may be seen as it is typed.
    pub(super) prompts: Vec<(String, bool)>,
}

/// Has the user asked, on a thread of its own, and sends the worker the answers.
///
/// # Errors
/// The worker asks more than any may.
pub(super) fn ask(link: &Arc<Link>, asked: Asked, set: &Weak<Set>) -> Result<(), Breach> {
    if asked.prompts.len() > PROMPTS_MAX
        || link.questions.fetch_add(1, Ordering::Relaxed) >= QUESTIONS_MAX
    {
        return Err(Breach);
    }
    let (own, set) = (Arc::clone(link), Weak::clone(set));
    let question = asked.number;
    let thread = thread::Builder::new().name("question".to_owned());
    let spawned = thread.spawn(move || {
        let set = set.upgrade().filter(|set| set.answers());
        let answers = set.and_then(|set| {
            let texts = [asked.name.as_str(), asked.instruction.as_str()];
            set.codes.ask(&asked.host, texts, &asked.prompts)
        });
        answer(&own, asked.number, answers);
    });
    if spawned.is_err() {
        answer(link, question, None);
    }
    Ok(())
}

/// Tells the worker that nobody answers.
pub(super) fn decline(link: &Link, question: u64) {
    tell(link, question, None);
}

fn answer(link: &Link, question: u64, answers: Option<Vec<Secret>>) {
    link.questions.fetch_sub(1, Ordering::Relaxed);
    tell(link, question, answers);
}

fn tell(link: &Link, question: u64, answers: Option<Vec<Secret>>) {
    let lengths = answers.as_ref().map(|answers| {
        let lengths = answers.iter().map(|answer| answer.expose().len());
        lengths.collect::<Vec<_>>()
    });
    let total = lengths.iter().flatten().sum();
    // With room for all at once: a buffer that grows leaves copies of the answers behind.
    let mut all = Vec::with_capacity(total);
    for answer in answers.iter().flatten() {
        all.extend_from_slice(answer.expose());
    }
    let all = Secret::from(all);
    let order = Order::Answer { question, lengths };
    link.outbox.push_secret(&order, all.expose());
}

/// Prompts in one question: as many as a session passes on.
const PROMPTS_MAX: usize = 32;
/// Questions of one worker at once: more than its sessions ask.
const QUESTIONS_MAX: usize = 64;
