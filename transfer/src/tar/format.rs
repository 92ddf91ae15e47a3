//! Headers of a `tar` archive: the layout of POSIX `ustar` (IEEE 1003.1, `pax`), with names of any
//! length as GNU tar has them, which all in use read. Pure: bytes in, bytes out.

/// Bytes of a header, and what a file's bytes are filled up to.
pub(super) const BLOCK: usize = 512;

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    /// Bytes that follow the header, without what they are filled up with.
    pub(super) size: u64,
    /// When it was last changed, in seconds since 1970.
    pub(super) modified: u64,
    /// Where a link leads.
    pub(super) link: Vec<u8>,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    /// A second name of a member before it.
    HardLink,
    /// A device or a pipe.
    Special,
    /// A file with holes, or something of another `tar`.
    Foreign,
}

/// What is written before a member's bytes.
pub(super) fn write(member: &Member, out: &mut Vec<u8>) {
    for (flag, name) in [(b'L', &member.path), (b'K', &member.link)] {
        if name.len() > NAME.len() {
            let mut block = header(b"././@LongLink", flag);
            // With the NUL that ends it.
            number(&mut block, SIZE, name.len() as u64 + 1);
            finish(&mut block, out);
            out.extend_from_slice(name);
            out.push(0);
            fill_up(name.len() as u64 + 1, out);
        }
    }
    let flag = match member.kind {
        Kind::Directory => b'5',
        Kind::Link => b'2',
        _ => b'0',
    };
    let mut block = header(&member.path, flag);
    number(&mut block, MODE, u64::from(member.mode & 0o7777));
    number(&mut block, SIZE, member.size);
    number(&mut block, MODIFIED, member.modified);
    let kept = member.link.len().min(LINK.len());
    block[LINK][..kept].copy_from_slice(&member.link[..kept]);
    finish(&mut block, out);
}

/// Fills up the last block of so many bytes.
pub(super) fn fill_up(bytes: u64, out: &mut Vec<u8>) {
    out.resize(out.len() + padding(bytes), 0);
}

/// How many bytes fill up the last block.
pub(super) fn padding(bytes: u64) -> usize {
    (BLOCK - (bytes % BLOCK as u64) as usize) % BLOCK
}

/// What ends an archive: two empty blocks, and on to a record as programs read it.
pub(super) fn end(before: u64, out: &mut Vec<u8>) {
    const RECORD: u64 = 20 * BLOCK as u64;
    let with_end = before + 2 * BLOCK as u64;
    let whole = with_end.next_multiple_of(RECORD);
    out.resize(
        out.len() + usize::try_from(whole - before).unwrap_or(2 * BLOCK),
        0,
    );
}

fn header(path: &[u8], flag: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let kept = path.len().min(NAME.len());
    block[NAME][..kept].copy_from_slice(&path[..kept]);
    for field in [MODE, UID, GID, MODIFIED] {
        number(&mut block, field, 0);
    }
    block[FLAG] = flag;
    block[MAGIC].copy_from_slice(b"ustar  \0");
    block
}

/// Writes a number: in octal, or what is too large for that as GNU tar does, in base 256.
fn number(block: &mut [u8; BLOCK], field: std::ops::Range<usize>, number: u64) {
    let field = &mut block[field];
    let digits = field.len() - 1;
    if digits >= 22 || number >> (3 * digits) == 0 {
        let text = format!("{number:0digits$o}\0");
        field.copy_from_slice(text.as_bytes());
    } else {
        field.fill(0);
        field[0] = 0x80;
        let at = field.len() - 8;
        field[at..].copy_from_slice(&number.to_be_bytes());
    }
}

fn finish(block: &mut [u8; BLOCK], out: &mut Vec<u8>) {
    let sum = format!("{:06o}\0 ", checksum(block));
    block[CHECKSUM].copy_from_slice(sum.as_bytes());
    out.extend_from_slice(&block[..]);
}

/// The sum of a header's bytes, those of the sum itself taken for spaces.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let all: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = block[CHECKSUM].iter().map(|byte| u64::from(*byte)).sum();
    all - own + 8 * u64::from(b' ')
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The end of the archive.
    End,
    /// So many bytes follow that tell of the next member; they are for [`Meta::read`].
    Meta { flag: u8, size: u64 },
    /// A member.
    Member(Member),
}

/// What was told before a member, beyond what its header has room for.
#[derive(Debug, Default)]
pub(super) struct Meta {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<u64>,
    has_holes: bool,
}

impl Meta {
    /// Reads what follows a header of meta data.
    pub(super) fn read(&mut self, flag: u8, body: &[u8]) -> Result<(), &'static str> {
        let text = || until_nul(body).to_vec();
        match flag {
            b'L' => self.path = Some(text()),
            b'K' => self.link = Some(text()),
            b'x' => self.read_records(body)?,
            // What counts for all members has nothing that would be used.
            _ => {}
        }
        Ok(())
    }

    /// Reads records of `pax`: a length in decimal, a space, `key=value` and a newline.
    fn read_records(&mut self, mut body: &[u8]) -> Result<(), &'static str> {
        const BAD: &str = "an extended header that is none";
        while !body.is_empty() {
            let space = body.iter().take(8).position(|byte| *byte == b' ');
            let space = space.ok_or(BAD)?;
            let length = decimal(&body[..space]).and_then(|length| usize::try_from(length).ok());
            let length = length.filter(|length| (space + 2..=body.len()).contains(length));
            let (record, rest) = body.split_at(length.ok_or(BAD)?);
            body = rest;
            let record = record[space + 1..].strip_suffix(b"\n").ok_or(BAD)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(decimal(value).ok_or(BAD)?),
                b"mtime" => {
                    let whole = value.split(|byte| *byte == b'.').next();
                    // Before 1970 it is none here.
                    self.modified = Some(whole.and_then(decimal).unwrap_or(0));
                }
                key if key.starts_with(b"GNU.sparse.") => self.has_holes = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads a header, with what was told before it.
pub(super) fn read(block: &[u8; BLOCK], meta: Meta) -> Result<(Header, Meta), &'static str> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok((Header::End, meta));
    }
    let told = octal(&block[CHECKSUM]).ok_or("a checksum that is none")?;
    if told != checksum(block) {
        return Err("a header whose checksum is wrong");
    }
    let size = value(&block[SIZE]).ok_or("a size that is none")?;
    let flag = block[FLAG];
    if matches!(flag, b'L' | b'K' | b'x' | b'X' | b'g') {
        return Ok((Header::Meta { flag, size }, meta));
    }
    let kind = match flag {
        b'0' | 0 | b'7' if meta.has_holes => Kind::Foreign,
        b'0' | 0 | b'7' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Link,
        b'3' | b'4' | b'6' => Kind::Special,
        b'5' => Kind::Directory,
        _ => Kind::Foreign,
    };
    let prefix: &[u8] = match &block[MAGIC] {
        [b'u', b's', b't', b'a', b'r', 0, ..] => until_nul(&block[PREFIX]),
        _ => b"",
    };
    let own = match prefix {
        b"" => until_nul(&block[NAME]).to_vec(),
        prefix => [prefix, b"/", until_nul(&block[NAME])].concat(),
    };
    let has_bytes = matches!(kind, Kind::File | Kind::Foreign);
    let member = Member {
        path: meta.path.unwrap_or(own),
        kind,
        mode: (value(&block[MODE]).unwrap_or(0) & 0o7777) as u32,
        size: if has_bytes {
            meta.size.unwrap_or(size)
        } else {
            0
        },
        modified: meta.modified.or(value(&block[MODIFIED])).unwrap_or(0),
        link: (meta.link).unwrap_or_else(|| until_nul(&block[LINK]).to_vec()),
    };
    Ok((Header::Member(member), Meta::default()))
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Reads a field that is a number which fits a file's size or time.
fn value(field: &[u8]) -> Option<u64> {
    let number = match field.first()? {
        0x80 => field[1..].iter().try_fold(0_u64, |number, byte| {
            Some(number.checked_mul(256)? + u64::from(*byte))
        })?,
        _ => octal(field)?,
    };
    i64::try_from(number).is_ok().then_some(number)
}

/// Reads a number in octal, among spaces and NULs; of nothing else it is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let from = field.iter().position(|byte| !is_blank(byte));
    let digits = from.map_or(&field[..0], |from| &field[from..]);
    let length = digits.iter().position(is_blank).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(length);
    if !rest.iter().all(is_blank) {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => Some(number.checked_mul(8)? + u64::from(digit - b'0')),
        _ => None,
    })
}

/// Reads a number of nothing but digits that fits a file's size or time.
fn decimal(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (is_number && i64::try_from(number).is_ok()).then_some(number)
}

const NAME: std::ops::Range<usize> = 0..100;
const MODE: std::ops::Range<usize> = 100..108;
const UID: std::ops::Range<usize> = 108..116;
const GID: std::ops::Range<usize> = 116..124;
const SIZE: std::ops::Range<usize> = 124..136;
const MODIFIED: std::ops::Range<usize> = 136..148;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const FLAG: usize = 156;
const LINK: std::ops::Range<usize> = 157..257;
const MAGIC: std::ops::Range<usize> = 257..265;
const PREFIX: std::ops::Range<usize> = 345..500;

#[cfg(test)]
mod tests;
