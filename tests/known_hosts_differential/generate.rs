//! Known_hosts files by chance, the same for the same seed.

use super::Asked;
use super::world::World;

/// Numbers without any order (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("31 bits") % bound
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Happens so many times in a hundred.
    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// A host to ask about.
pub(crate) fn asked(random: &mut Random) -> Asked {
    let name = *random.pick(&[
        "web1",
        "web1",
        "web1",
        "web2",
        "WEB1",
        "a.ex.com",
        "db1.ex.com",
        "::1",
        "127.0.0.9",
    ]);
    let port = *random.pick(&[22, 22, 2222, 2222, 2222, 65_535]);
    let alias = random
        .percent(8)
        .then(|| *random.pick(&["one", "web2", "ONE", "[web1]:2222"]));
    Asked { name, port, alias }
}

/// A file of up to eight lines.
pub(crate) fn file(random: &mut Random, world: &World) -> Vec<u8> {
    let mut text = Vec::new();
    let lines = 1 + random.below(8);
    for at in 0..lines {
        text.extend(line(random, world));
        let is_last = at + 1 == lines;
        match random.below(20) {
            0..=1 => text.extend(b"\r\n"),
            2 if is_last => {}
            _ => text.push(b'\n'),
        }
    }
    text
}

fn line(random: &mut Random, world: &World) -> Vec<u8> {
    match random.below(40) {
        0 => {
            return (*random.pick(&[
                "",
                "#",
                "# web1",
                "   ",
                "\t# x",
                "web1",
                "@revoked",
                "@cert-authority web1",
            ]))
            .into();
        }
        // The whole byte range.
        1 => {
            return (0..random.below(60))
                .map(|_| random.below(256) as u8)
                .filter(|b| *b != b'\n' && *b != b'\t')
                .collect();
        }
        _ => {}
    }
    let mut line = String::new();
    if random.percent(5) {
        line += *random.pick(&[" ", "\t", "  \t "]);
    }
    line += match random.below(100) {
        0..=64 => "",
        65..=82 => "@cert-authority ",
        83..=94 => "@revoked ",
        95 => "@revoked  ",
        96 => "@revoked @revoked ",
        97 => "@REVOKED ",
        98 => "@cert-authority @revoked ",
        _ => "@bad ",
    };
    line += &names(random, world);
    line += *random.pick(&[" ", " ", " ", " ", "\t", "  ", " \t "]);
    line += &key(random, world);
    line += &match random.below(30) {
        0..=9 => " comment with words".to_owned(),
        10 => " #".to_owned(),
        11 => "\t".to_owned(),
        12 => format!(" {}", "long ".repeat(random.below(12_000))),
        13 => "  \r".to_owned(),
        14 => " \0 x".to_owned(),
        _ => String::new(),
    };
    line.into_bytes()
}

fn names(random: &mut Random, world: &World) -> String {
    if random.percent(18) {
        let mut hidden = random.pick(&world.hidden).clone();
        match random.below(15) {
            0 => hidden.truncate(random.below(hidden.len())),
            1 => hidden += ",web1",
            2 => hidden = hidden.replacen("|1|", "|2|", 1),
            3 => hidden.insert_str(0, "web1,"),
            _ => {}
        }
        // Without any name the key would be taken for one, which is another case.
        return if hidden.is_empty() {
            "|".to_owned()
        } else {
            hidden
        };
    }
    let count = 1 + random.below(3) * random.below(2);
    let parts = (0..count).map(|_| name(random)).collect::<Vec<_>>();
    parts.join(",")
}

fn name(random: &mut Random) -> String {
    const PLAIN: [&str; 12] = [
        "web1",
        "web1",
        "web2",
        "WEB1",
        "Web2",
        "a.ex.com",
        "A.EX.com",
        "::1",
        "127.0.0.9",
        "one",
        "ONE",
        "db1.ex.com",
    ];
    const PATTERNS: [&str; 14] = [
        "*",
        "web?",
        "*.ex.com",
        "w*",
        "[*]:2222",
        "[web?]:2222",
        "[*.ex.com]:*",
        "??b1",
        "*1",
        "[web1]:*",
        "web*1",
        "**",
        "127.0.0.?",
        "?",
    ];
    let mut name = match random.below(100) {
        0..=49 => (*random.pick(&PLAIN)).to_owned(),
        50..=72 => format!(
            "[{}]:{}",
            random.pick(&PLAIN),
            random.pick(&["2222", "2222", "2222", "22", "65535"])
        ),
        73..=95 => (*random.pick(&PATTERNS)).to_owned(),
        96 => "x".repeat(1015 + random.below(15)),
        97 => String::new(),
        98 => "[web1]".to_owned(),
        _ => "web1:2222".to_owned(),
    };
    if random.percent(8) {
        name.insert(0, '!');
    }
    name
}

fn key(random: &mut Random, world: &World) -> String {
    let fields = random.pick(&world.fields).clone();
    let (kind, base64) = fields.split_once(' ').expect("two fields");
    match random.below(40) {
        0 => kind.to_owned(),
        1 => format!("{kind} {}", &base64[..random.below(base64.len())]),
        2 => format!(
            "{} {base64}",
            random.pick(&[
                "ssh-rsa",
                "ssh-ed25519",
                "rsa-sha2-256",
                "ssh-dss",
                "SSH-RSA",
                "x"
            ])
        ),
        3 => format!("{kind}  \t{base64}"),
        4 => format!("{kind} {base64}="),
        5 => format!("{kind} {base64}AAAA"),
        6 => base64.to_owned(),
        7 => format!("2048 {kind} {base64}"),
        _ => fields,
    }
}
