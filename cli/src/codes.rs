//! What hosts ask and the password does not answer, such as one-time codes: asked on the terminal,
//! one host at a time.

use std::sync::{Mutex, PoisonError};

use sshoal::{Answers, Challenge, Host, Prompt, Secret};

use crate::progress;
use crate::sanitise::one_line;
use crate::terminal::Terminal;

/// The user, who knows the codes.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    /// Held while one host is answered, so that others wait.
    turn: Mutex<()>,
}

impl Answers for Codes {
    fn answer(&self, host: &Host, challenge: &Challenge) -> Option<Vec<Secret>> {
        let prompt = |prompt: &Prompt| (prompt.text().to_owned(), prompt.is_echoed());
        let prompts: Vec<_> = challenge.prompts().iter().map(prompt).collect();
        self.ask(host, [challenge.name(), challenge.instruction()], &prompts)
    }
}

impl Codes {
    /// Shows the texts and asks for what each prompt says, which is seen as it is typed where that
    /// stands with it; the texts are the host's.
    pub(crate) fn ask(
        &self,
        host: &Host,
        texts: [&str; 2],
        prompts: &[(String, bool)],
    ) -> Option<Vec<Secret>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut terminal = Terminal::open()?;
        progress::make_room();
        for text in texts {
            for line in lines(text) {
                terminal.show(&format!("{}\n", of_host(host, line))).ok()?;
            }
        }
        let answer = |(text, is_echoed): &(String, bool)| {
            let text = of_host(host, text);
            let answer = match is_echoed {
                true => terminal.ask(&text),
                false => terminal.ask_hidden(&text),
            };
            answer.ok()?
        };
        prompts.iter().map(answer).collect()
    }
}

/// Returns the lines of a host's text that are shown: what is longer is no word to a user.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.take(LINES_MAX)
}

/// Writes who asks before what they ask, as ssh does; the host's text is made harmless.
fn of_host(host: &Host, text: &str) -> String {
    let text: String = text.chars().take(LINE_CHARS_MAX).collect();
    one_line(&format!("({host}) {text}")).into_owned()
}

/// Lines of a host's text that are shown.
const LINES_MAX: usize = 50;
/// How much of each is shown.
const LINE_CHARS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_cannot_write_over_its_name() {
        let host: Host = "ann@web1".parse().unwrap();
        let text = of_host(&host, "\r\x1b[2K(bank) Password: ");
        assert_eq!(text, "(ann@web1) \\x0d\\x1b[2K(bank) Password: ");
    }

    #[test]
    fn a_host_cannot_fill_the_screen() {
        let host: Host = "web1".parse().unwrap();
        let text = "a\n\n b\n".repeat(10_000);
        assert_eq!(lines(&text).count(), LINES_MAX);
        assert_eq!(lines("\n \nhello\n").collect::<Vec<_>>(), ["hello"]);
        let long = of_host(&host, &"x".repeat(30_000));
        assert_eq!(long.len(), "(web1) ".len() + LINE_CHARS_MAX);
    }
}
