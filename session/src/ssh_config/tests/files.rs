//! Which files are read, in a directory of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

/// A home with `.ssh`, and a directory of the system.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(files.path().join(".ssh/config.d")).unwrap();
        fs::create_dir_all(files.path().join("etc")).unwrap();
        files
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    fn builder(&self) -> SshConfigBuilder {
        let local = local().with_home(self.path().display().to_string());
        SshConfig::builder(local).system_dir(self.path().join("etc"))
    }

    fn lookup(&self, name: &str) -> Result<Options, SshConfigError> {
        self.builder().load()?.lookup(&host(name))
    }
}

#[test]
fn the_users_file_comes_before_the_systems() {
    let files = Files::new();
    assert_eq!(*files.lookup("h").unwrap().port.value(), 22);
    files.write("etc/ssh_config", "Port 2\nUser sys\nIdentityFile a\n");
    files.write(".ssh/config", "Port 1\nIdentityFile a\n");
    let options = files.lookup("h").unwrap();
    assert_eq!(
        (*options.port.value(), options.user.value().as_str()),
        (1, "sys")
    );
    assert_eq!(
        given(options.identity_files.as_deref().unwrap()),
        ["a", "a"]
    );
    let none = files.builder().file("none").load().unwrap();
    assert_eq!(*none.lookup(&host("h")).unwrap().port.value(), 22);
    let one = files
        .builder()
        .file(files.path().join("etc/ssh_config"))
        .load()
        .unwrap();
    assert_eq!(*one.lookup(&host("h")).unwrap().port.value(), 2);
    let missing = files
        .builder()
        .file(files.path().join("missing"))
        .load()
        .unwrap_err();
    assert!(chain(&missing).ends_with("missing: cannot be read: No such file or directory"));
}

#[test]
fn a_users_file_that_others_can_write_is_refused() {
    let files = Files::new();
    files.write(".ssh/config", "Port 1\n");
    let path = files.path().join(".ssh/config");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let said = chain(&files.lookup("h").unwrap_err());
    assert!(
        said.ends_with("config: can be written by others (mode 666): chmod go-w it"),
        "{said}"
    );
    assert!(files.builder().file(path).load().is_ok());
}

#[test]
fn includes_apply_where_they_stand() {
    let files = Files::new();
    files.write(
        ".ssh/config",
        "Host a\n Include config.d/*.conf missing\n Tag t\nPort 9\n",
    );
    files.write(".ssh/config.d/1.conf", "Port 1\nHost b\nPort 2\n");
    files.write(".ssh/config.d/2.conf", "Port 3\nUser u\n");
    let options = files.lookup("a").unwrap();
    assert_eq!(
        (*options.port.value(), options.user.value().as_str()),
        (1, "u")
    );
    assert_eq!(options.tag.unwrap().value(), "t");
    // A `Host` within an included file cannot widen where it is included.
    assert_eq!(*files.lookup("b").unwrap().port.value(), 22);
    files
        .write("etc/ssh_config", "Include sys.conf\n")
        .write("etc/sys.conf", "User s\n");
    assert_eq!(files.lookup("b").unwrap().user.value(), "s");
    files.write("etc/ssh_config", "Include ~/x\n");
    assert!(
        chain(&files.lookup("b").unwrap_err()).contains("the system's files are nobody's home")
    );
}

#[test]
fn errors_in_included_files_are_errors_everywhere() {
    let files = Files::new();
    files
        .write(".ssh/config", "IgnoreUnknown foo\nHost a\n Include x\n")
        .write(".ssh/x", "Host b\nBogus 1\n");
    let said = chain(&files.lookup("c").unwrap_err());
    assert!(said.contains(".ssh/x:2: bogus: unknown option"), "{said}");
    let path = files.path().join(".ssh/x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
    assert!(chain(&files.lookup("c").unwrap_err()).contains("can be written by others"));
}

#[test]
fn includes_are_bounded_in_depth_and_number() {
    let files = Files::new();
    files.write(".ssh/config", "Include config\n");
    let said = chain(&files.lookup("h").unwrap_err());
    assert!(
        said.contains("files include each other to a depth of more than 16"),
        "{said}"
    );
    for depth in 0..17 {
        let text = format!("Include d{}\n", depth + 1);
        files.write(&format!(".ssh/d{depth}"), &text);
    }
    files
        .write(".ssh/config", "Include d1\n")
        .write(".ssh/d16", "Port 7\n");
    assert_eq!(*files.lookup("h").unwrap().port.value(), 7);
    files.write(".ssh/config", "Include d0\n");
    assert!(files.lookup("h").is_err());
    for n in 0..65 {
        files.write(&format!(".ssh/config.d/{n}"), "");
    }
    files.write(".ssh/config", &"Include config.d/*\n".repeat(64));
    assert!(chain(&files.lookup("h").unwrap_err()).contains("files are included, more than 4096"));
}

/// A green thread's stack is small, and its overflow ends the process.
#[test]
fn a_green_thread_can_read_the_deepest_includes() {
    let files = Files::new();
    files.write(".ssh/config", "IgnoreUnknown x\nInclude d1\n");
    for depth in 1..16 {
        let text = format!("Host *\nInclude d{}\nx y\nIdentityFile ~/%h\n", depth + 1);
        files.write(&format!(".ssh/d{depth}"), &text);
    }
    files.write(
        ".ssh/d16",
        "Match final host h user * exec true\nProxyJump %r@gate-%h\nPort 7\n",
    );
    let builder = files.builder().match_exec(MatchExec::Run);
    let thread = sshoal_reactor::spawn(move || {
        let options = builder.load()?.lookup(&host("h"))?;
        Ok::<_, SshConfigError>(*options.port.value())
    });
    assert_eq!(thread.unwrap().join().unwrap().unwrap(), 7);
}

/// It is for the ssh that is installed, which may be later than the rules here; the user's file is
/// held against them.
#[test]
fn the_systems_file_may_be_for_a_later_ssh() {
    let files = Files::new();
    let later = "AnOptionOfLater yes\nCiphers later-cipher,aes128-ctr\nIPQoS later\n\
        GSSAPIKexAlgorithms later\nCASignatureAlgorithms +later\nPort 2\n";
    files.write("etc/ssh_config", later);
    let options = files.lookup("h").unwrap();
    assert_eq!(*options.port.value(), 2);
    assert_eq!(
        options.ciphers.unwrap().value().names(),
        "later-cipher,aes128-ctr"
    );
    for line in later.lines().take(5) {
        files.write(".ssh/config", line);
        assert!(files.lookup("h").is_err(), "{line}");
    }
    files.write(".ssh/config", "");
    files.write("etc/ssh_config", "Port later");
    assert!(
        files.lookup("h").is_err(),
        "a value that counts has to be right"
    );
}

/// Distributions say it for everybody; where the user says it, it is told.
#[test]
fn what_the_system_asks_for_and_cannot_be_had_is_left_alone() {
    let files = Files::new();
    let text = "GSSAPIAuthentication yes\nGSSAPIDelegateCredentials yes\nVerifyHostKeyDNS yes\n";
    files.write("etc/ssh_config", text);
    assert!(files.lookup("h").is_ok());
    for line in text.lines() {
        files.write(".ssh/config", line);
        let said = chain(&files.lookup("h").unwrap_err());
        assert!(said.contains(".ssh/config:1: "), "{said}");
        let builder = files.builder().option(line).load().unwrap();
        let said = chain(&builder.lookup(&host("h")).unwrap_err());
        assert!(said.starts_with("command line: "), "{said}");
    }
    files.write(".ssh/config", "");
    files.write("etc/ssh_config", "RemoteCommand ls");
    assert!(
        files.lookup("h").is_err(),
        "the system's file may change the run no more than the user's"
    );
}
