//! SFTP servers that do what they are asked to and say something else: each work ends by itself, with the truth or an
//! error, and nothing is lost by it, there or here.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use sshoal::{
    Kind, Session,
    transfer::{
        self, CopyOptions, Delete, Error, LineEdit, Parents, RemoteFs, Resume, Source, TreeOptions,
        TreeReport, Unchanged, WriteOptions,
    },
};
use support::{
    files::bytes_of,
    mangled_sftp::{ALL, MODE, Mangle, Mangled, Plan, SIZE},
    sessions::{connect, limit, random_bytes},
};

support::mangled_sftp::mangled_sftp!();

/// A server, a session to it, and a folder for each side.
struct Scene {
    server: Mangled,
    session: Session,
    dir: tempfile::TempDir,
}

/// What a piece of work ended with: `true` where it claims to have done it.
type Ended = Result<bool, Error>;

/// Some work, by its name.
type Work = (&'static str, fn(&Scene) -> Ended);

const ALL_WORK: [Work; 24] = [
    ("put", |scene| scene.put(&CopyOptions::new())),
    ("put resumed", |scene| {
        scene.put(&CopyOptions::new().resume(Resume::Yes))
    }),
    ("get", |scene| scene.get(&CopyOptions::new())),
    ("get resumed", |scene| {
        scene.get(&CopyOptions::new().resume(Resume::Yes))
    }),
    ("put tree", |scene| {
        let to = scene.there("new/tree");
        let options = TreeOptions::new().copy(CopyOptions::new().parents(Parents::Make));
        let (from, to) = (scene.here("tree"), bytes_of(&to));
        let tree = transfer::LocalTree::walk(&from, &options).expect("is there");
        ended(transfer::put_tree(
            &scene.session,
            &tree,
            to,
            &options,
            &limit(),
        ))
    }),
    ("sync", |scene| {
        let options = TreeOptions::new().sync().delete(Delete::Yes);
        let (from, to) = (scene.here("tree"), scene.there("tree"));
        let tree = transfer::LocalTree::walk(&from, &options).expect("is there");
        let to = bytes_of(&to);
        ended(transfer::put_tree(
            &scene.session,
            &tree,
            to,
            &options,
            &limit(),
        ))
    }),
    ("get tree", |scene| {
        let (from, to) = (scene.there("tree"), scene.here("in"));
        let (from, options) = (bytes_of(&from), TreeOptions::new());
        ended(transfer::get_tree(
            &scene.session,
            from,
            &to,
            &options,
            &limit(),
        ))
    }),
    ("get in step", |scene| {
        let (from, to) = (scene.there("tree"), scene.here("in"));
        let options = TreeOptions::new()
            .unchanged(Unchanged::SizeAndTime)
            .delete(Delete::Yes);
        ended(transfer::get_tree(
            &scene.session,
            bytes_of(&from),
            &to,
            &options,
            &limit(),
        ))
    }),
    ("read", |scene| {
        let read = scene.fs()?.read(bytes_of(&scene.there("old")), 1 << 20);
        read.map(|_| true)
    }),
    ("write", |scene| {
        let new = scene.content();
        scene
            .fs()?
            .write(bytes_of(&scene.there("old")), new, &WriteOptions::new())
    }),
    ("write new", |scene| {
        let new = scene.content();
        scene.fs()?.write(
            bytes_of(&scene.there("none")),
            new,
            &WriteOptions::new().permissions(0o600),
        )
    }),
    ("line", |scene| {
        let edit = LineEdit::present("a line");
        let change = scene
            .fs()?
            .line_in_file(bytes_of(&scene.there("lines")), &edit)?;
        Ok(change.changed)
    }),
    ("append", |scene| {
        let path = scene.there("lines");
        scene.fs()?.append(bytes_of(&path), "more\n").map(|()| true)
    }),
    ("stat", |scene| {
        scene
            .fs()?
            .stat(bytes_of(&scene.there("old")))
            .map(|_| true)
    }),
    ("exists", |scene| {
        scene.fs()?.exists(bytes_of(&scene.there("old")))
    }),
    ("list", |scene| {
        scene
            .fs()?
            .list(bytes_of(&scene.there("tree")))
            .map(|_| true)
    }),
    ("walk", |scene| {
        let most = 100.try_into().expect("is not 0");
        scene
            .fs()?
            .walk(bytes_of(&scene.there("tree")), most)
            .map(|_| true)
    }),
    ("glob", |scene| {
        let pattern = scene.there("tree/**/*");
        scene.fs()?.glob(bytes_of(&pattern)).map(|_| true)
    }),
    ("make directories", |scene| {
        let path = scene.there("a/b/c");
        scene.fs()?.make_directories(bytes_of(&path), Some(0o750))
    }),
    ("remove all", |scene| {
        scene.fs()?.remove_all(bytes_of(&scene.there("tree")))
    }),
    ("rename", |scene| {
        let (from, to) = (scene.there("lines"), scene.there("renamed"));
        scene
            .fs()?
            .rename(bytes_of(&from), bytes_of(&to))
            .map(|()| true)
    }),
    ("symlink", |scene| {
        let path = scene.there("link");
        scene.fs()?.symlink("elsewhere", bytes_of(&path))
    }),
    ("chown", |scene| {
        let path = scene.there("old");
        let own = scene.fs()?;
        own.chmod(bytes_of(&path), 0o640)?;
        own.truncate(bytes_of(&path), 3)?;
        Ok(true)
    }),
    ("room", |scene| {
        scene.fs()?.stat_file_system("/").map(|_| true)
    }),
];

fn ended(report: TreeReport) -> Ended {
    match report.ended_early {
        Some(error) => Err(error),
        None => match report.failed.into_iter().next() {
            Some(failed) => Err(failed.error),
            None => Ok(true),
        },
    }
}

impl Scene {
    fn new() -> Option<Self> {
        let server = Mangled::start()?;
        let session = connect(&server.sshd);
        let dir = tempfile::tempdir().expect("makes a folder");
        let scene = Self {
            server,
            session,
            dir,
        };
        scene.set();
        Some(scene)
    }

    /// Sets both sides up anew.
    fn set(&self) {
        for side in [self.here(""), self.there("")] {
            let _ = fs::remove_dir_all(&side);
            fs::create_dir_all(side.join("tree/deep")).expect("makes folders");
        }
        fs::create_dir(self.here("in")).expect("makes a folder");
        for (name, content) in [("old", OLD), ("lines", b"one\ntwo\n"), ("tree/extra", OLD)] {
            fs::write(self.there(name), content).expect("writes");
        }
        for side in [self.here("tree"), self.there("tree")] {
            fs::write(side.join("file"), "x").expect("writes");
            fs::write(side.join("deep/file"), "xyz").expect("writes");
        }
        fs::write(self.here("source"), self.content()).expect("writes");
        fs::write(self.here("old"), OLD).expect("writes");
    }

    fn here(&self, name: &str) -> PathBuf {
        self.dir.path().join("here").join(name)
    }

    fn there(&self, name: &str) -> PathBuf {
        self.dir.path().join("there").join(name)
    }

    /// What is put: more than one request carries.
    fn content(&self) -> Vec<u8> {
        random_bytes(600_000, 7)
    }

    fn fs(&self) -> Result<RemoteFs<'_>, Error> {
        RemoteFs::open(&self.session, &limit())
    }

    fn put(&self, options: &CopyOptions) -> Ended {
        let source = Source::file(self.here("source")).expect("is there");
        let to = self.there("old");
        let copied = transfer::put(&self.session, &source, bytes_of(&to), options, &limit())?;
        Ok(!copied.kept)
    }

    fn get(&self, options: &CopyOptions) -> Ended {
        let from = self.there("lines");
        let to = self.here("old");
        let copied = transfer::get(&self.session, bytes_of(&from), &to, options, &limit())?;
        Ok(!copied.kept)
    }

    /// Does some work under a plan; it ends, its error is fit to be shown, and what had content before has it still, or
    /// has all of the new.
    #[track_caller]
    fn attacked(&self, (name, work): &Work, plan: Plan) -> Ended {
        self.set();
        self.server.plan(plan);
        let ended = work(self);
        let about = format!("{name} under {plan:?}: {ended:?}");
        if let Err(error) = &ended {
            assert_ne!(error.kind(), Kind::Timeout, "{about}");
            let text = error.to_string();
            assert!(!text.chars().any(char::is_control), "{about}");
        }
        assert!(self.session.is_open(), "{about}");
        let there = fs::read(self.there("old")).expect("is there");
        match *name {
            "put" | "put resumed" | "write" => {
                let new = self.content();
                assert!(
                    there == OLD || there == new,
                    "{about}: {} bytes",
                    there.len()
                );
                if matches!(ended, Ok(true)) {
                    assert!(there == new, "{about}: it is not there");
                }
            }
            "chown" => {}
            _ => assert!(there == OLD, "{about}"),
        }
        if ended.is_err() {
            let here = fs::read(self.here("old")).expect("is there");
            assert!(here == OLD, "{about}: the local file is another");
        }
        ended
    }
}

const OLD: &[u8] = b"what was there before\n";

/// Each work with each of its answers mangled in some way, or in every way with `SSHOAL_MANGLES=full`.
#[test]
fn each_answer_may_be_anything() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let full = std::env::var_os("SSHOAL_MANGLES").is_some_and(|mangles| mangles == "full");
    let (mut done, mut failed) = (0, 0);
    for (at, work) in ALL_WORK.iter().enumerate() {
        scene
            .attacked(work, Plan::Honest)
            .unwrap_or_else(|error| panic!("{}: {error}", work.0));
        let answers = scene.server.answers();
        assert!(answers > 1, "{}: {answers}", work.0);
        // Files of a tree come in any order, so that some have another number.
        for (which, ways) in (0..answers.min(24)).zip((at..).step_by(5)) {
            let some = ways % ALL.len();
            for mangle in if full { &ALL[..] } else { &ALL[some..=some] } {
                match scene.attacked(work, Plan::One(which, *mangle)) {
                    Ok(_) => done += 1,
                    Err(_) => failed += 1,
                }
            }
        }
    }
    println!("{done} were done all the same, {failed} failed");
    assert!(failed > done / 2);
}

/// A host that tells no sizes: a copy is whole by its last byte, and where that cannot be seen it is none.
#[test]
fn a_put_where_no_size_is_told_is_checked_by_its_end() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let untold = Plan::Attributes(Mangle::Without(SIZE));
    for work in &ALL_WORK[..2] {
        let copied = scene.attacked(work, untold).expect("is whole");
        assert!(copied);
    }
    let empty = transfer::write(&scene.session, bytes_of(&scene.there("old")), b"", &limit());
    assert_eq!(empty.expect("is whole").bytes, 0);
    assert_eq!(fs::read(scene.there("old")).expect("is there"), b"");
    for (mangle, work) in [
        (Mangle::Status(1), &ALL_WORK[0]),
        (Mangle::Status(1), &ALL_WORK[1]),
        (Mangle::Status(3), &ALL_WORK[0]),
        (Mangle::Data(1), &ALL_WORK[0]),
    ] {
        let ended = scene.attacked(work, Plan::Untold(mangle));
        let not_told = matches!(&ended, Err(Error::NotTold { what: "size", .. }));
        assert!(not_told, "{mangle:?}: {ended:?}");
    }
}

/// A host that tells no permissions: those that a file has are not made others by an edit.
#[test]
fn permissions_that_are_not_told_are_not_lost() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let private = fs::Permissions::from_mode(0o600);
    for name in ["old", "lines"] {
        fs::set_permissions(scene.there(name), private.clone()).expect("sets");
    }
    scene.server.plan(Plan::Attributes(Mangle::Without(MODE)));
    let files = scene.fs().expect("opens");
    let (old, lines) = (scene.there("old"), scene.there("lines"));
    let edit = LineEdit::present("a line");
    let failed = [
        files
            .write(bytes_of(&old), "new", &WriteOptions::new())
            .map(drop),
        files.line_in_file(bytes_of(&lines), &edit).map(drop),
    ];
    for failed in failed {
        let untold = matches!(
            &failed,
            Err(Error::NotTold {
                what: "permissions",
                ..
            })
        );
        assert!(untold, "{failed:?}");
    }
    assert_eq!(fs::read(&old).expect("is there"), OLD);
    assert_eq!(fs::read(&lines).expect("is there"), b"one\ntwo\n");
    let options = WriteOptions::new().permissions(0o640);
    let written = files.write(bytes_of(&old), "new", &options);
    assert!(written.expect("writes"));
    let mode = |path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!((mode(&old), mode(&lines)), (0o640, 0o600));
}

/// A server of another version than 3 is told as such, and one that goes back on what it said it can do is used
/// without that.
#[test]
fn versions_are_one_and_extensions_may_be_missing() {
    let Some(scene) = Scene::new() else {
        return;
    };
    for (version, what) in [
        (0, "older"),
        (2, "older"),
        (4, "newer"),
        (6, "newer"),
        (u32::MAX, "newer"),
    ] {
        let ended = scene.attacked(&ALL_WORK[0], Plan::Version(version));
        let error = ended.expect_err("is another version").to_string();
        assert!(
            error.contains(&format!("its version is {what} than 3")),
            "{error}"
        );
    }
    let write = ALL_WORK.iter().find(|(name, _)| *name == "write");
    let write = write.expect("is one of them");
    scene.attacked(write, Plan::Honest).expect("writes");
    let unsupported = |which| scene.attacked(write, Plan::One(which, Mangle::Status(8)));
    let done = (0..scene.server.answers()).filter(|which| unsupported(*which).is_ok());
    // Limits and the write to the disk.
    assert!(done.count() >= 2);
}
