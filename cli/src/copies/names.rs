//! What a host's copies are called on this machine.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use sshoal::transfer::{HostNames, HostNamesError};

use super::hosts::Names;
use super::{fill, paths};
use crate::args::GetArgs;

/// What decides the names.
#[derive(Debug)]
pub(super) enum Naming<'a> {
    /// `DEST/{host}/{path}`.
    Encoded,
    /// `DIR/{host}/DEST`.
    LocalDir(&'a Path),
    /// `DEST/` and this.
    Template(&'a [u8]),
    /// As another program.
    Preset(HostNames),
    /// DEST itself, filled in.
    Dest,
}

impl<'a> Naming<'a> {
    /// Returns what was asked for; `dest` is as it was typed.
    pub(super) fn of(args: &'a GetArgs, dest: &[u8]) -> Self {
        match (&args.name, &args.localdir) {
            (Some(name), _) => match name.as_bytes() {
                b"pssh" => Self::Preset(HostNames::Pssh),
                b"clush" => Self::Preset(HostNames::Clush),
                b"parallel-ssh" => Self::Preset(HostNames::ParallelSsh {
                    separator: b"_".to_vec(),
                }),
                template => Self::Template(template),
            },
            (None, Some(dir)) => Self::LocalDir(dir),
            (None, None) if args.copy.template && fill::has_placeholder(dest) => Self::Dest,
            (None, None) => Self::Encoded,
        }
    }
}

/// What is copied to where, as typed; with `--template`, filled in for each host.
#[derive(Debug)]
pub(super) struct Wanted {
    /// By host, each SRC.
    pub(super) sources: Vec<Vec<Vec<u8>>>,
    /// By host.
    pub(super) dests: Vec<Vec<u8>>,
}

/// Returns the path of each copy, by host and SRC; no two hosts write one.
///
/// # Errors
/// A name cannot be made, or two hosts would write one path.
pub(super) fn locals(
    naming: &Naming<'_>,
    names: &Names,
    wanted: &Wanted,
) -> Result<Vec<Vec<PathBuf>>> {
    let labels = &names.labels;
    let encoded = encoded(labels)?;
    let mut all = Vec::with_capacity(labels.len());
    for (index, sources) in wanted.sources.iter().enumerate() {
        let dest = paths::local(&wanted.dests[index]);
        let into = sources.len() > 1 || is_directory(&dest);
        let host = Path::new(&encoded[index]);
        let local = |source: &Vec<u8>| -> Result<PathBuf> {
            let file = || Ok::<_, anyhow::Error>(OsStr::from_bytes(paths::file_of(source)?));
            let entered = |path: PathBuf| match into {
                true => Ok::<_, anyhow::Error>(path.join(file()?)),
                false => Ok(path),
            };
            match naming {
                Naming::Encoded => Ok(dest.join(host).join(paths::inside(source)?)),
                Naming::LocalDir(dir) => {
                    check_inside(&dest)?;
                    entered(dir.join(host).join(&dest))
                }
                Naming::Template(template) => {
                    let name = filled(template, (names, index), (host, source))?;
                    let name = paths::local(&name);
                    check_inside(&name)?;
                    Ok(dest.join(name))
                }
                Naming::Preset(HostNames::ParallelSsh { separator }) => {
                    let label = own_name(&labels[index])?;
                    let mut path = entered(dest.clone())?.into_os_string();
                    path.push(OsStr::from_bytes(separator));
                    path.push(label);
                    Ok(path.into())
                }
                Naming::Preset(preset) => {
                    let label = own_name(&labels[index])?;
                    let named = preset.paths(&[label], &dest, paths::file_of(source)?);
                    Ok(named.map_err(told)?.remove(0))
                }
                Naming::Dest => entered(dest.clone()),
            }
        };
        let own: Result<Vec<PathBuf>> = sources.iter().map(local).collect();
        all.push(own?);
    }
    paths::check_apart(&all, labels)?;
    Ok(all)
}

/// Returns a name for each host that no other has.
fn encoded(labels: &[String]) -> Result<Vec<PathBuf>> {
    let named = HostNames::Encoded.paths(labels, Path::new(""), b"");
    named.map_err(told)
}

/// Fills a `--name` in.
fn filled(
    template: &[u8],
    (names, index): (&Names, usize),
    (host, source): (&Path, &[u8]),
) -> Result<Vec<u8>> {
    let inside = paths::inside(source);
    let value = |name: &str| match name {
        "host" => Some(Cow::from(host.as_os_str().as_bytes())),
        "path" => {
            let path = inside.as_ref().ok()?;
            Some(Cow::from(path.as_os_str().as_bytes()))
        }
        "file" => paths::file_of(source).ok().map(Cow::from),
        name => names.value(index, name),
    };
    let filled = fill::fill(template, "{path}, {file}, ", value);
    filled.with_context(|| match &inside {
        Err(wrong) => format!("--name: {wrong:#}"),
        Ok(_) => "--name".to_owned(),
    })
}

/// A host's label where it is a name as it is.
fn own_name(label: &str) -> Result<&str> {
    if label.contains('/') || matches!(label, "." | "..") {
        bail!("host {label:?} makes no name of a file; leave --name out");
    }
    Ok(label)
}

fn told(error: HostNamesError) -> anyhow::Error {
    anyhow::Error::new(error).context("--name")
}

/// Refuses a path that would leave the directory that it is put in.
fn check_inside(path: &Path) -> Result<()> {
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    match path.components().all(inside) && !path.as_os_str().is_empty() {
        true => Ok(()),
        false => bail!("{} leads out of the directory", path.display()),
    }
}

/// Whether copies go into it, by their own names.
fn is_directory(path: &Path) -> bool {
    paths::is_directory(path.as_os_str().as_bytes()) || path.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copies::hosts::tests::names;

    fn all(naming: &Naming<'_>, hosts: &[&str], sources: &[&str]) -> Result<Vec<String>> {
        let sources: Vec<Vec<u8>> = sources.iter().map(|s| s.as_bytes().to_vec()).collect();
        let wanted = Wanted {
            sources: vec![sources; hosts.len()],
            dests: vec![b"out".to_vec(); hosts.len()],
        };
        let locals = locals(naming, &names(hosts), &wanted)?;
        let shown = locals.iter().flatten();
        Ok(shown.map(|path| path.display().to_string()).collect())
    }

    #[track_caller]
    fn check(naming: &Naming<'_>, expected: [&str; 2]) {
        let made = all(naming, &["web1", "web2"], &["/etc/motd"]).unwrap();
        assert_eq!(made, expected, "{naming:?}");
    }

    #[test]
    fn every_way_of_naming_names_each_host() {
        check(&Naming::Encoded, ["out/web1/etc/motd", "out/web2/etc/motd"]);
        let dir = Naming::LocalDir(Path::new("dir"));
        check(&dir, ["dir/web1/out", "dir/web2/out"]);
        let template = Naming::Template(b"{n}-of-{total}/{file}@{host}:{port}");
        check(
            &template,
            ["out/0-of-2/motd@web1:22", "out/1-of-2/motd@web2:22"],
        );
        let pssh = Naming::Preset(HostNames::Pssh);
        check(&pssh, ["out/web1/motd", "out/web2/motd"]);
        let clush = Naming::Preset(HostNames::Clush);
        check(&clush, ["out/motd.web1", "out/motd.web2"]);
        let separator = b"_".to_vec();
        let parallel = Naming::Preset(HostNames::ParallelSsh { separator });
        check(&parallel, ["out_web1", "out_web2"]);
        let several = all(&parallel, &["web1"], &["/a/x", "/a/y"]).unwrap();
        assert_eq!(several, ["out/x_web1", "out/y_web1"]);
    }

    #[test]
    fn hosts_listed_twice_and_odd_names_stay_apart() {
        let twice = all(&Naming::Encoded, &["web1", "web1"], &["/m"]).unwrap();
        assert_eq!(twice, ["out/web1/m", "out/web1#2/m"]);
        let clush = Naming::Preset(HostNames::Clush);
        let error = all(&clush, &["web1", "web1"], &["/m"]).unwrap_err();
        assert!(error.to_string().contains("both be copied"), "{error}");
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for template in ["/abs/{host}", "../{host}", "{host}/../../x", ""] {
            let naming = Naming::Template(template.as_bytes());
            assert!(all(&naming, &["a"], &["/m"]).is_err(), "{template:?}");
        }
        assert!(all(&Naming::Encoded, &["a"], &["/etc/../m"]).is_err());
        let error = all(&Naming::Template(b"same"), &["a", "b"], &["/m"]).unwrap_err();
        assert!(error.to_string().contains("a and b would both"), "{error}");
    }
}
