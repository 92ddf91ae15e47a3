//! One host alone, from a plain thread, with no fleet around it: commands, files, SCP, a shell.
//!
//! `cargo run --example one_host -- SSH_CONFIG HOST`

use std::{
    env,
    error::Error,
    io::{Write, stdout},
    time::Duration,
};

use sshoal::{
    Host, HostFiles, Pattern, Resolver, Scope, Session, ShellSpec,
    ssh_config::{Local, SshConfig},
};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [file, host] = args.as_slice() else {
        return Err("usage: one_host SSH_CONFIG HOST".into());
    };
    let ssh_config = SshConfig::builder(Local::of_this_process()).file(file);
    let resolver = Resolver::builder(ssh_config.load()?).build();
    let host: Host = host.parse()?;
    let session = Session::connect(&host, &*resolver.config(&host)?)?;
    let mut out = stdout().lock();

    // Commands: what they gave is data; `check` makes an error of a failure.
    let output = session.run("echo from the host; exit 3")?;
    let text = String::from_utf8(output.stdout)?;
    writeln!(out, "run: {} ({})", text.trim(), output.exit)?;
    let directory = String::from_utf8(session.check("mktemp -d")?.stdout)?;
    let (there, here) = (directory.trim(), env::temp_dir());

    // Files over SFTP, from and into memory, and local ones.
    session.write(format!("{there}/notes.txt"), "one\ntwo\n")?;
    let back = here.join(format!("one_host-{}", std::process::id()));
    let got = session.get(format!("{there}/notes.txt"), &back, 1024)?;
    session.put(&back, format!("{there}/copy.txt"))?;
    writeln!(out, "get: {} bytes", got.bytes)?;

    // The same by the host's `scp`, which overwrites nothing.
    session.scp_put(&back, format!("{there}/by-scp.txt"))?;
    let again = session.scp_put(&back, format!("{there}/by-scp.txt"));
    let refused = again.err().ok_or("it was overwritten")?.to_string();
    writeln!(out, "scp: {}", refused.replace(there, ""))?;
    session.scp_get(format!("{there}/by-scp.txt"), &back, 1024)?;
    std::fs::remove_file(&back)?;
    for path in session.glob(there, "*.txt")? {
        let path = String::from_utf8(path)?;
        writeln!(out, "there: {}", path.trim_start_matches(there))?;
    }

    // A shell: lines down, answers up, its last exit status.
    let limit = Scope::root().child(Some(Duration::from_secs(30)));
    let shell = session.shell(&ShellSpec::new(), &limit)?;
    shell.run(format!("cd {there} && wc -l < copy.txt"), &limit)?;
    let lines = shell.expect(Pattern::regex(r"[0-9]+\n")?, &limit)?.matched;
    writeln!(out, "shell: {} lines", String::from_utf8(lines)?.trim())?;
    shell.run(format!("cd / && rm -r {there} && exit 4"), &limit)?;
    writeln!(out, "shell: {}", shell.join(&limit)?)?;
    session.close()?;
    Ok(())
}
