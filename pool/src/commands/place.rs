//! Where in a shell's script a value is put: outside of quotes, within them, or somewhere that is
//! not followed.
//!
//! This reads as much of the Shell Command Language (IEEE 1003.1-2024, 2.2 "Quoting", 2.3 "Token
//! Recognition") as tells the quotes. It is right or it does not know: from anything on that nests
//! quotes in another way, all places are [`Place::Unknown`], where only plain words are put. The
//! tests hold it against real shells, which is how the cases were found that no paper names.

/// Where a value is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside of quotes.
    Outside,
    /// Between single quotes.
    Single,
    /// Between double quotes.
    Double,
    /// Behind a backslash, in a comment, or where quotes are not followed.
    Unknown,
}

/// Reads a script piece by piece.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// The next byte is behind a backslash.
    escaped: bool,
    /// The byte before stands for itself and is a `$`.
    dollar: bool,
    /// A word may begin here, and so a comment.
    word_start: bool,
    /// The byte before, if it has its meaning for the shell.
    last: u8,
    /// Between double quotes: the bytes up to here are a `$` and what may be a parameter's name.
    parameter: bool,
    /// What ends the brackets and parentheses within a word that are open, the innermost last. In
    /// `a[WORD]=`, and for zsh in `$a[WORD]` and `*(WORD)`, quotes keep nothing.
    closers: Vec<u8>,
    duplicate: Duplicate,
}

/// Where in `>&WORD` or `<&WORD` the next byte is: bash expands the word twice, so that quotes
/// keep nothing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duplicate {
    No,
    /// Before the word.
    Before,
    Within,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Single,
    Double,
    Comment,
    Lost,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            state: State::Outside,
            escaped: false,
            dollar: false,
            word_start: true,
            last: b'\n',
            parameter: false,
            closers: Vec::new(),
            duplicate: Duplicate::No,
        }
    }

    /// Reads all the text between two values.
    pub(super) fn text(&mut self, text: &[u8]) {
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            at += self.byte(*byte, &text[at + 1..]);
        }
    }

    /// Returns where a value that follows is put, and reads on behind it.
    pub(super) fn value(&mut self) -> Place {
        let place = match self.state {
            _ if self.escaped || self.after_dollar() => Place::Unknown,
            _ if self.duplicate != Duplicate::No || !self.closers.is_empty() => Place::Unknown,
            // zsh reads `$$'…'` as `$` and `$'…'`.
            State::Outside if self.last == b'$' => Place::Unknown,
            State::Outside => Place::Outside,
            State::Single => Place::Single,
            State::Double => Place::Double,
            State::Comment | State::Lost => Place::Unknown,
        };
        self.letter();
        (self.escaped, self.dollar) = (false, false);
        place
    }

    /// Returns whether what follows would be read as a variable's name, or as a quote of its own
    /// kind, because of a `$` before it.
    pub(super) fn after_dollar(&self) -> bool {
        self.dollar && matches!(self.state, State::Outside | State::Double)
    }

    /// Reads a byte before `rest`; returns how many are read.
    fn byte(&mut self, byte: u8, rest: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            // A line that is continued ends no word and begins none.
            if byte != b'\n' {
                self.letter();
            }
            return 1;
        }
        match self.state {
            State::Lost => {}
            State::Comment => {
                if byte == b'\n' {
                    self.state = State::Outside;
                    (self.word_start, self.last) = (true, byte);
                }
            }
            State::Single => {
                if byte == b'\'' {
                    self.state = State::Outside;
                }
            }
            State::Double => return self.double(byte, rest),
            State::Outside => return self.outside(byte, rest),
        }
        1
    }

    /// Reads something that stands for itself within a word.
    fn letter(&mut self) {
        (self.word_start, self.last) = (false, b'x');
        if self.duplicate == Duplicate::Before {
            self.duplicate = Duplicate::Within;
        }
    }

    /// Reads what may begin a subscript or the like, if one may begin here, or end it. Returns
    /// whether it can be followed.
    fn nested(&mut self, byte: u8, begins: bool) -> bool {
        if !begins && self.closers.is_empty() {
            return true;
        }
        match byte {
            b'[' => self.closers.push(b']'),
            b'(' => self.closers.push(b')'),
            b']' | b')' => return self.closers.pop() == Some(byte),
            _ => return !b"'\"\\`<>".contains(&byte),
        }
        true
    }

    fn double(&mut self, byte: u8, rest: &[u8]) -> usize {
        self.dollar = false;
        if !self.nested(byte, self.parameter && byte == b'[') {
            self.state = State::Lost;
            return 1;
        }
        if self.closers.is_empty() {
            // zsh has flags before the name, and a name may have more than one subscript.
            self.parameter &= byte.is_ascii_alphanumeric() || b"_=~^+#]".contains(&byte);
        }
        match byte {
            b'"' => self.state = State::Outside,
            b'\\' => self.escaped = true,
            b'`' => self.state = State::Lost,
            b'$' => return self.expansion(rest),
            _ => {}
        }
        1
    }

    fn outside(&mut self, byte: u8, rest: &[u8]) -> usize {
        let (word_start, last) = (self.word_start, self.last);
        self.dollar = false;
        self.word_start = b" \t\n;&|()<>".contains(&byte);
        self.last = byte;
        let begins = !word_start && (byte == b'[' || byte == b'(' && !matches!(last, b'$' | b'='));
        if !self.nested(byte, begins) {
            self.state = State::Lost;
            return 1;
        }
        self.duplicate = match self.duplicate {
            Duplicate::No if byte == b'&' && matches!(last, b'<' | b'>') => Duplicate::Before,
            Duplicate::Before if matches!(byte, b' ' | b'\t' | b'\\') => Duplicate::Before,
            Duplicate::Before | Duplicate::Within if !self.word_start => Duplicate::Within,
            _ => Duplicate::No,
        };
        match byte {
            b'\'' => self.state = State::Single,
            b'"' => self.state = State::Double,
            b'\\' => (self.escaped, self.word_start, self.last) = (true, word_start, last),
            b'#' if word_start => self.state = State::Comment,
            b'`' => self.state = State::Lost,
            // A here-document, or an arithmetic command.
            b'<' | b'(' if last == byte => self.state = State::Lost,
            // A list of values; from a fault in one, bash goes on with the next line, were it quoted.
            b'(' if last == b'=' => self.state = State::Lost,
            b'$' => return self.expansion(rest),
            _ => {}
        }
        1
    }

    /// Reads on behind a `$`; returns how much is read with it.
    fn expansion(&mut self, rest: &[u8]) -> usize {
        let outside = self.state == State::Outside;
        self.parameter = true;
        match rest.first() {
            // A line that is continued is nothing at all: what is behind it belongs to the `$`.
            Some(b'\\') if rest.get(1) == Some(&b'\n') => self.state = State::Lost,
            Some(b'{') => {
                let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                let len = rest[1..].iter().take_while(|byte| name(byte)).count();
                match rest.get(1 + len) {
                    Some(b'}') if len > 0 => {
                        (self.last, self.parameter) = (b'}', false);
                        return len + 3;
                    }
                    // Quotes within it nest in ways in which shells differ.
                    _ => self.state = State::Lost,
                }
            }
            // Outside of quotes it is read as the script around it, unless it is arithmetic.
            Some(b'(') if outside && rest.get(1) != Some(&b'(') => {}
            // `$'…'` is read in two ways, by shells that know it and by others.
            Some(b'\'' | b'[') if outside => self.state = State::Lost,
            Some(b'(' | b'[') => self.state = State::Lost,
            // In zsh the second `$` of `$$` begins a quote of this kind too.
            Some(b'$') if outside && matches!(rest.get(1), Some(b'\'' | b'\\' | b'(')) => {
                self.state = State::Lost;
            }
            // Parameters of one byte, `$#` among them, begin nothing else.
            Some(byte @ (b'$' | b'#' | b'?' | b'!' | b'@' | b'*' | b'-')) => {
                self.last = *byte;
                return 2;
            }
            Some(_) => {}
            None => self.dollar = true,
        }
        1
    }
}
