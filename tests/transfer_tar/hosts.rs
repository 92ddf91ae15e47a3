//! What the host's `tar` is, says and costs.

use super::*;

#[test]
fn what_goes_wrong_on_the_host_is_told_in_its_words() {
    let Some((sshd, programs)) = with_programs(before_others) else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    fs::write(here.join("a"), "bytes").expect("writes");
    fs::write(there.join("a"), "bytes").expect("writes");
    let said = |report: &TreeReport| match &report.ended_early {
        Some(error @ Error::Command { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let text = said(&put(&session, &here, &there.join("a"), &tar()));
    assert!(text.ends_with("Not a directory"), "{text}");
    let parents = tar().copy(CopyOptions::new().parents(Parents::Expect));
    let text = said(&put(&session, &here, &there.join("b/c"), &parents));
    assert!(text.contains("No such file or directory"), "{text}");
    let text = said(&get(&session, &there.join("b"), &here.join("b"), &tar()));
    assert!(
        text.contains("No such file or directory") || text.contains("can't cd"),
        "{text}"
    );
    program(
        &programs,
        "tar",
        "printf 'no \\033[31mtar here\\n' >&2; exit 127",
    );
    for report in [
        put(&session, &here, &there.join("d"), &tar()),
        get(&session, &there, &here.join("d"), &tar()),
    ] {
        let text = said(&report);
        assert!(text.ends_with("no [31mtar here"), "{text:?}");
    }
    assert_eq!(names(&there), ["a"]);
    // Part of it arrives where `tar` says that it could not read all.
    program(
        &programs,
        "tar",
        "/bin/tar \"$@\"; r=$?; echo 'tar: x: Permission denied' >&2; exit 2",
    );
    let report = get(&session, &there, &here.join("e"), &tar());
    assert!(report.files == 1 && report.failed.len() == 1, "{report:?}");
    assert!(
        report.failed[0]
            .error
            .to_string()
            .contains("Permission denied")
    );
    fs::remove_dir_all(programs).expect("removes the programs");
}

/// busybox's programs do what is asked of GNU's.
#[test]
fn a_host_of_busybox_alone_does_as_well() {
    if !Path::new("/bin/busybox").exists() && !Path::new("/usr/bin/busybox").exists() {
        println!("skipped: there is no busybox here");
        return;
    }
    let Some((sshd, programs)) = with_programs(|dir| dir.display().to_string()) else {
        return;
    };
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
    let busybox = busybox
        .into_iter()
        .find(|path| path.exists())
        .expect("is there");
    for name in [
        "sh", "tar", "mkdir", "rm", "mv", "ln", "find", "chmod", "touch", "sync",
    ] {
        symlink(&busybox, programs.join(name)).expect("links");
    }
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let source = here.join("source");
    plant(&source, 30, 100_000);
    let kept = CopyOptions::new().preserve(Preserve::Yes);
    let options = tar().links(Links::Copy).copy(kept.clone());
    for _ in 0..2 {
        let report = put(&session, &source, &there.join("new"), &options);
        assert!(report.is_success(), "{report:?}");
        assert_same(&there.join("new"), &source);
    }
    let keep = tar().links(Links::Copy).copy(kept.existing(Existing::Keep));
    let report = put(&session, &source, &there.join("new"), &keep);
    assert!(
        report.is_success() && report.files == 0 && report.kept > 30,
        "{report:?}"
    );
    let report = get(&session, &there.join("new"), &here.join("back"), &options);
    assert!(report.is_success(), "{report:?}");
    assert_same(&here.join("back"), &source);
    assert_eq!(names(&there), ["new"]);
    fs::remove_dir_all(programs).expect("removes the programs");
}

/// Prints what many small files take one for one and in one stream; 5,000 of them with `SSHOAL_TAR=full`.
#[test]
fn many_small_files_arrive_either_way() {
    let Some(sshd) = sshd() else { return };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let files = match std::env::var_os("SSHOAL_TAR") {
        Some(_) => 5_000,
        None => 100,
    };
    let source = here.join("source");
    for number in 0..files {
        let dir = source.join((number / 100).to_string());
        fs::create_dir_all(&dir).expect("makes directories");
        fs::write(dir.join(number.to_string()), vec![7; number % 4_000]).expect("writes");
    }
    for stream in [Stream::Each, Stream::Tar] {
        let options = TreeOptions::new().stream(stream);
        let (target, back) = (
            there.join(format!("{stream:?}")),
            here.join(format!("{stream:?}")),
        );
        let begun = Instant::now();
        let report = put(&session, &source, &target, &options);
        let put_took = begun.elapsed();
        assert!(
            report.is_success() && report.files == files as u64,
            "{report:?}"
        );
        let begun = Instant::now();
        let report = put(&session, &source, &target, &options);
        let again_took = begun.elapsed();
        assert!(
            report.is_success() && report.files == files as u64,
            "{report:?}"
        );
        let begun = Instant::now();
        let report = get(&session, &target, &back, &options);
        let get_took = begun.elapsed();
        assert!(
            report.is_success() && report.files == files as u64,
            "{report:?}"
        );
        println!(
            "{files} files, {stream:?}: put {put_took:?}, over {again_took:?}, get {get_took:?}"
        );
        let bytes = |root: &Path| {
            let all = snapshot(root);
            let known = all.into_iter().map(|(path, known)| (path, known.3));
            known.collect::<Vec<_>>()
        };
        assert!(bytes(&back) == bytes(&source));
    }
}
