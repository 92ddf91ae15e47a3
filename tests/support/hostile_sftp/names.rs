//! What a lying server says: names that are none, odd ones, links that lead out, and permissions.

/// Names that are no name of one file in its directory.
pub(crate) fn bad_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "",
        "/",
        "//",
        "/etc/passwd",
        "/out/file",
        "../out/file",
        "../out",
        "../../out/file",
        "../evil",
        "../",
        "a/../../evil",
        "a/b",
        "a/",
        "./a",
        "./../evil",
        "../../../../../../../../tmp/sshoal-evil",
        "a//b",
        "/.",
        "/..",
        "./",
        ".//",
        "..//",
        "../.",
        "../..",
        "./.",
        "./..",
        "good/../../evil",
        "good/.",
        "good/..",
        "dir/evil",
        "\0",
        "a\0",
        "\0a",
        "a\0/../../evil",
        "../\0",
        "..\0",
        ".\0",
        "/proc/self/cwd/../evil",
        "~/../evil/",
        "C:/evil",
        "\\\\evil/x",
        "%2e%2e/evil",
        "\n/../evil",
        "\u{1b}[2J/../evil",
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.push(vec![b'x'; 256]);
    names.push(vec![b'x'; 5_000]);
    names.push(b"\xff/\xfe".to_vec());
    names
}

/// Names that look bad and are one name all the same: they stay in the directory.
pub(crate) fn odd_names() -> Vec<Vec<u8>> {
    let names = [
        "...",
        "..a",
        "-rf",
        "C:\\x",
        "a\nb",
        "\u{1b}[2J",
        "~",
        "%2e%2e",
        "CON",
        "good",
        "Good",
    ];
    let mut names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.push(b"\xff\xfe".to_vec());
    names.push(vec![b'x'; 255]);
    names
}

/// Targets of links that lead out of the directory.
pub(crate) const TARGETS_OUTSIDE: [&str; 10] = [
    "../out",
    "/out",
    "/",
    "..",
    "a/../../out",
    "./../out",
    "../in/../out",
    "a/..",
    "../../../../../../tmp",
    "//",
];

/// Permissions that [`Lie::Permissions`] tells.
pub(crate) const PERMISSIONS: [u32; 8] = [0, 0o111, 0o666, 0o777, 0o1777, 0o2755, 0o4755, 0o7777];
