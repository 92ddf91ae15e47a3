//! Finds the prompt of `sudo` and the mark of a command's begin in what a host sends.

use crate::launch::Sudo;

/// Holds back what a host sends until the command has begun, without the marks in it.
pub(crate) struct Gate {
    ask: Vec<u8>,
    go: Vec<u8>,
    held: Vec<u8>,
    /// Up to here there is no mark.
    looked: usize,
    /// Whether a line break behind the prompt is sudo's, who puts it where a terminal shows none.
    terminal: bool,
}

/// What was found first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Neither mark.
    Nothing,
    /// The prompt.
    Ask,
    /// The command's begin: all that comes after is its own.
    Go,
}

impl Gate {
    pub(crate) fn new(sudo: &Sudo, terminal: bool) -> Self {
        Self {
            ask: sudo.ask(),
            go: sudo.go(),
            held: Vec::new(),
            looked: 0,
            terminal,
        }
    }

    /// Takes in what has come.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Takes the next mark out.
    pub(crate) fn next(&mut self) -> Seen {
        let rest = &self.held[self.looked..];
        let at = |mark: &[u8]| rest.windows(mark.len()).position(|part| part == mark);
        let (seen, at, len) = match (at(&self.ask), at(&self.go)) {
            (Some(ask), go) if go.is_none_or(|go| ask < go) => (Seen::Ask, ask, self.ask.len()),
            (_, Some(go)) => (Seen::Go, go, self.go.len()),
            _ => {
                // The last bytes may be the first ones of a mark.
                let longest = self.ask.len().max(self.go.len());
                self.looked = self
                    .looked
                    .max((self.held.len() + 1).saturating_sub(longest));
                return Seen::Nothing;
            }
        };
        let at = self.looked + at;
        self.held.drain(at..at + len);
        self.looked = at;
        seen
    }

    /// Returns how many bytes are held back.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Returns what is not a mark; `asked` is where the prompt stood.
    pub(crate) fn into_held(mut self, asked: Option<usize>) -> Vec<u8> {
        if let Some(at) = asked.filter(|_| self.terminal)
            && self.held[at..].starts_with(b"\r\n")
        {
            self.held.drain(at..at + 2);
        }
        self.held
    }

    /// Returns where the last mark stood.
    pub(crate) fn place(&self) -> usize {
        self.looked
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marks() -> (Sudo, Vec<u8>, Vec<u8>) {
        let sudo = Sudo::new();
        let (ask, go) = (sudo.ask(), sudo.go());
        (sudo, ask, go)
    }

    proptest! {
        /// However the stream is cut, both marks are found where they are, once each, and all else stays.
        #[test]
        fn marks_are_found_however_the_stream_is_cut(
            parts in prop::array::uniform3(prop::collection::vec(any::<u8>(), 0..40)),
            cuts in prop::collection::vec(1_usize..20, 1..20),
            near in 0_usize..30,
        ) {
            let (sudo, ask, go) = marks();
            // A beginning of the mark, right before it.
            let parts = [[&parts[0], &ask[..near]].concat(), parts[1].clone(), parts[2].clone()];
            let stream = [&parts[0], &ask, &parts[1], &go, &parts[2]].map(Vec::as_slice).concat();
            let mut gate = Gate::new(&sudo, false);
            let (mut rest, mut cuts, mut seen) = (&stream[..], cuts.iter().cycle(), Vec::new());
            while !rest.is_empty() {
                let (piece, left) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                gate.put(piece);
                while seen.last() != Some(&Seen::Go) {
                    match gate.next() {
                        Seen::Nothing => break,
                        found => seen.push(found),
                    }
                }
                rest = left;
            }
            prop_assert_eq!(seen, [Seen::Ask, Seen::Go]);
            prop_assert_eq!(gate.into_held(None), parts.concat());
        }
    }

    #[test]
    fn what_only_repeats_the_command_line_is_no_mark() {
        let (sudo, ..) = marks();
        let launch = crate::Launch::new().sudo(
            sudo.clone()
                .password(std::sync::Arc::new("x".to_owned().into())),
        );
        let mut gate = Gate::new(&sudo, false);
        gate.put(&launch.wrap(b"true").unwrap());
        assert_eq!(gate.next(), Seen::Nothing);
    }

    #[test]
    fn a_terminals_line_break_behind_the_prompt_goes_with_it() {
        for (terminal, expected) in [
            (true, &b"lecture\r\nout"[..]),
            (false, b"lecture\r\n\r\nout"),
        ] {
            let (sudo, ask, go) = marks();
            let mut gate = Gate::new(&sudo, terminal);
            gate.put(&[b"lecture\r\n", &ask[..]].concat());
            assert_eq!(gate.next(), Seen::Ask);
            let asked = gate.place();
            gate.put(&[b"\r\n", &go[..], b"out"].concat());
            assert_eq!(gate.next(), Seen::Go);
            assert_eq!(gate.into_held(Some(asked)), expected);
        }
    }
}
