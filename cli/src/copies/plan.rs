//! What is copied from where to where, by host: settled before anyone is asked anything.
//!
//! The principal type is [`Plan`].

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use sshoal::Host;
use sshoal::transfer::{Existing, LocalTree, Source, TreeOptions};

use super::hosts::{Names, Place};
use super::names::{Naming, Wanted, locals};
use super::{options, paths};
use crate::args::{CopyArgs, GetArgs, PutArgs, SyncArgs};
use crate::hosts::Chosen;
use crate::journal::Kept;
use crate::keep::Resumed;
use crate::plan::{self, Access, Pace};
use crate::{access, hosts, keep};

/// Which way files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Put,
    Get,
    Sync,
}

impl Direction {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Sync => "sync",
        }
    }
}

/// Something of this machine that is sent, opened once for all hosts.
#[derive(Debug)]
pub(super) enum Sent {
    File(Source),
    Tree(LocalTree),
}

/// One copy.
#[derive(Debug)]
pub(super) enum Item {
    /// To a path of the host; the name to take in it, if it is a directory there.
    Put {
        path: PathBuf,
        sent: Arc<Sent>,
        to: Vec<u8>,
        name: Option<Vec<u8>>,
    },
    Get {
        from: Vec<u8>,
        to: PathBuf,
    },
}

/// Copies, resolved.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) direction: Direction,
    pub(super) hosts: Vec<Host>,
    pub(super) names: Names,
    pub(super) access: Access,
    pub(super) pace: Pace,
    /// By host.
    pub(super) items: Vec<Vec<Item>>,
    pub(super) tree: TreeOptions,
    /// How many bytes of a file are taken.
    pub(super) bytes_max: Option<NonZeroU64>,
    /// Whether changes are written to standard output.
    pub(super) itemize: bool,
    /// The positions of the hosts that it is on: the others are done.
    pub(super) whom: Vec<usize>,
    /// Whether it goes on with a run that was cut short, and may have left something.
    pub(super) goes_on: bool,
    /// By host, the paths as they were filled in, sources first.
    pub(super) filled: Option<Vec<Vec<Vec<u8>>>>,
}

/// Adds to what is wrong with the choice of hosts how to write a path that names one, as scp has it.
fn with_host_of(error: anyhow::Error, paths: &[OsString]) -> anyhow::Error {
    let named = paths.iter().find_map(|path| {
        let (host, path) = path.to_str()?.split_once(':')?;
        (!host.is_empty() && !host.contains(['/', '['])).then_some((host, path))
    });
    match named {
        Some((host, path)) => anyhow!("{error:#}; for {host}:{path} write -H {host} and {path}"),
        None => error,
    }
}

/// What is copied and where to, by host.
struct Filled {
    sources: Vec<Vec<Vec<u8>>>,
    dests: Vec<Vec<u8>>,
}

impl Plan {
    pub(super) fn put(args: &PutArgs, resumed: &Resumed) -> Result<Self> {
        if args.sudo.is_some() {
            let how = &args.copy.how;
            let others = [
                how.recursive,
                how.scp,
                how.tar,
                how.resume,
                how.verify,
                how.preserve,
            ];
            if others.contains(&true) {
                bail!(
                    "--sudo writes single files by a command; leave -r, -a, --scp, --tar, --resume \
                     and --verify out"
                );
            }
        }
        if args.copy.how.scp && args.copy.how.overwrite && !args.copy.how.keep {
            bail!("scp overwrites nothing here; leave --overwrite or --scp out");
        }
        let mut plan = Self::begin(Direction::Put, (&args.copy, &args.paths), resumed)?;
        plan.tree = options::tree(&args.copy);
        let (sources, dest) = split(&args.paths, Direction::Put)?;
        let paths = plan.filled((&sources, dest), &args.copy, resumed)?;
        plan.send(&paths, &args.copy)?;
        Ok(plan)
    }

    pub(super) fn sync(args: &SyncArgs, resumed: &Resumed) -> Result<Self> {
        if args.copy.how.scp || args.copy.how.tar {
            bail!(
                "sync compares over SFTP, file by file; leave --scp and --tar out, or use put -r"
            );
        }
        if options::existing(&args.copy) != Existing::Overwrite {
            bail!("sync makes files equal; leave --keep and --no-clobber out, or use put");
        }
        let mut plan = Self::begin(Direction::Sync, (&args.copy, &args.paths), resumed)?;
        let (sources, dest) = split(&args.paths, Direction::Sync)?;
        plan.tree = options::step(args).sync();
        plan.itemize = args.itemize;
        let paths = plan.filled((&sources, dest), &args.copy, resumed)?;
        plan.send(&paths, &args.copy)?;
        Ok(plan)
    }

    pub(super) fn get(args: &GetArgs, resumed: &Resumed) -> Result<Self> {
        let mut plan = Self::begin(Direction::Get, (&args.copy, &args.paths), resumed)?;
        plan.tree = options::tree(&args.copy);
        if let Some(bytes) = args.max_bytes {
            plan.bytes_max = Some(bytes);
            plan.tree = plan.tree.bytes_max(bytes);
        }
        let (sources, dest) = split(&args.paths, Direction::Get)?;
        let naming = Naming::of(args, dest);
        let Filled { sources, dests } = plan.filled((&sources, dest), &args.copy, resumed)?;
        let wanted = Wanted { sources, dests };
        let locals = locals(&naming, &plan.names, &wanted)?;
        let items = wanted.sources.into_iter().zip(locals).map(|(own, locals)| {
            let items = own.into_iter().zip(locals).map(|(from, to)| Item::Get {
                from: paths::remote(&from).to_vec(),
                to,
            });
            items.collect()
        });
        plan.items = items.collect();
        Ok(plan)
    }

    fn begin(
        direction: Direction,
        (args, paths): (&CopyArgs, &[OsString]),
        resumed: &Resumed,
    ) -> Result<Self> {
        options::check(args)?;
        keep::wanted(&args.journal, &args.access.from_environment)?;
        if args.how.tar && !args.how.recursive {
            bail!("--tar is for directories; add -r, or leave it out");
        }
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let Chosen {
            hosts,
            own,
            variables,
        } = match &resumed.kept {
            Some(kept) => kept.hosts()?,
            None if args.whom.names_nobody() => {
                hosts::choose(&args.whom).map_err(|error| with_host_of(error, paths))?
            }
            None => hosts::choose(&args.whom)?,
        };
        let whom = resumed.whom(&args.journal, hosts.len());
        if let Some(kept) = &resumed.kept {
            check_resumed(kept, args, &whom)?;
        }
        let access = Access {
            own,
            ..plan::access(&args.access, &args.pace, home)?
        };
        let user = access.user.as_deref();
        let labels = hosts.iter().map(|host| plan::label(host, user)).collect();
        let logins = access::logins(&access, &hosts, false)?;
        Ok(Self {
            direction,
            names: Names::new(labels, &hosts, logins).with(variables),
            hosts,
            access,
            pace: Pace {
                stop_after: args.far.stop_after(),
                ..plan::pace(&args.pace, &args.access)?
            },
            items: Vec::new(),
            tree: TreeOptions::new(),
            bytes_max: None,
            itemize: false,
            whom,
            goes_on: resumed.kept.is_some(),
            filled: None,
        })
    }

    /// Fills the paths in for each host, as they were before where the run is gone on with: the
    /// variables of inventories may say something else by now.
    fn filled(
        &mut self,
        (sources, dest): (&[&[u8]], &[u8]),
        args: &CopyArgs,
        resumed: &Resumed,
    ) -> Result<Filled> {
        let kept = resumed.kept.as_ref().and_then(Kept::paths);
        if let Some(mut paths) = kept {
            let dests = paths.iter_mut().map(|own| own.pop().unwrap_or_default());
            let dests = dests.collect();
            let sources = paths;
            return Ok(Filled { sources, dests });
        }
        let (here, there) = match self.direction {
            Direction::Get => (Place::Host, Place::Here),
            Direction::Put | Direction::Sync => (Place::Here, Place::Host),
        };
        let sources = each(&self.names, sources, args.template, here)?;
        let dests = self.names.each(dest, args.template, there)?;
        if args.template {
            let own = sources.iter().zip(&dests);
            let own = own
                .map(|(sources, dest)| [sources.as_slice(), std::slice::from_ref(dest)].concat());
            self.filled = Some(own.collect());
        }
        Ok(Filled { sources, dests })
    }

    /// Returns what is sent, each path once.
    pub(super) fn inputs(&self) -> Vec<&Path> {
        let mut known = HashSet::new();
        let sent = self.items.iter().flatten().filter_map(|item| match item {
            Item::Put { path, .. } => Some(path.as_path()),
            Item::Get { .. } => None,
        });
        sent.filter(|path| known.insert(*path)).collect()
    }

    /// Plans what is sent: opens each path once.
    fn send(&mut self, paths: &Filled, args: &CopyArgs) -> Result<()> {
        let trees = args.how.recursive || self.direction == Direction::Sync;
        let mut opened: HashMap<PathBuf, Arc<Sent>> = HashMap::new();
        for (own, dest) in paths.sources.iter().zip(&paths.dests) {
            let into = own.len() > 1 || paths::is_directory(dest);
            let mut items: Vec<Item> = Vec::with_capacity(own.len());
            let mut taken: Vec<Vec<u8>> = Vec::with_capacity(own.len());
            for path in own {
                let path = paths::local(path);
                let sent = match opened.get(&path) {
                    Some(sent) => sent.clone(),
                    None => {
                        let sent = Arc::new(self.open(&path, trees)?);
                        opened.insert(path.clone(), sent.clone());
                        sent
                    }
                };
                let name = paths::name_of(&path)?.as_bytes().to_vec();
                let dest = paths::remote(dest);
                let to = match into {
                    true => paths::join(dest, &name),
                    false => dest.to_vec(),
                };
                if taken.contains(&to) {
                    bail!("two SRC would be copied to {}", paths::shown(&to));
                }
                taken.push(to.clone());
                let name = (!into).then_some(name);
                items.push(Item::Put {
                    path,
                    sent,
                    to,
                    name,
                });
            }
            self.items.push(items);
        }
        Ok(())
    }

    fn open(&self, path: &Path, trees: bool) -> Result<Sent> {
        let about = std::fs::metadata(path);
        let about = about.with_context(|| format!("cannot read {}", path.display()))?;
        let shown = path.display();
        match (about.is_dir(), self.direction) {
            (true, _) if trees => Ok(Sent::Tree(LocalTree::walk(path, &self.tree)?)),
            (true, _) => bail!("{shown} is a directory; use -r to copy it"),
            (false, Direction::Sync) => bail!("{shown} is no directory; use put"),
            (false, _) => Ok(Sent::File(Source::file(path)?)),
        }
    }

    /// Returns how many bytes go to all hosts, where that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        let bytes = |item: &Item| match item {
            Item::Put { sent, .. } => Some(match &**sent {
                Sent::File(source) => source.size(),
                Sent::Tree(tree) => tree.bytes(),
            }),
            Item::Get { .. } => None,
        };
        match self.direction {
            Direction::Put => {
                let left = self.whom.iter().flat_map(|index| &self.items[*index]);
                left.map(bytes).sum()
            }
            _ => None,
        }
    }

    /// Returns from where to where a host's copies go, for people.
    pub(super) fn shown(&self, index: usize) -> Vec<(String, String)> {
        let shown = |item: &Item| match item {
            Item::Put { path, to, .. } => (path.display().to_string(), paths::shown(to)),
            Item::Get { from, to } => (paths::shown(from), to.display().to_string()),
        };
        self.items[index].iter().map(shown).collect()
    }
}

/// Refuses to go on where that would not come to the same as the run from its begin on.
fn check_resumed(kept: &Kept, args: &CopyArgs, whom: &[usize]) -> Result<()> {
    let run = &kept.plan.run;
    if args.journal.skip_started {
        bail!("--skip-started is for commands; copies can be made again, leave it out");
    }
    let touched = kept.touched(whom);
    if options::existing(args) == Existing::Fail && touched > 0 {
        bail!(
            "cannot go on with {run}: on {touched} of the hosts that are left some files may be there \
             already, and files that are there are not overwritten; copy again with --keep or \
             --overwrite"
        );
    }
    Ok(())
}

/// Returns each path for each host, by host.
fn each(
    names: &Names,
    sources: &[&[u8]],
    is_template: bool,
    place: Place,
) -> Result<Vec<Vec<Vec<u8>>>> {
    let mut by_host = vec![Vec::with_capacity(sources.len()); names.labels.len()];
    for source in sources {
        let filled = names.each(source, is_template, place)?;
        for (own, path) in by_host.iter_mut().zip(filled) {
            own.push(path);
        }
    }
    Ok(by_host)
}

/// Takes the words apart into what is copied, and where to.
fn split(words: &[OsString], direction: Direction) -> Result<(Vec<&[u8]>, &[u8])> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let word = direction.word();
    let Some((dest, sources)) = words.split_last().filter(|(_, rest)| !rest.is_empty()) else {
        bail!("name what to copy, and where to, as in: sshoal {word} -H web1 SRC DEST");
    };
    if words.iter().any(|word| word.is_empty()) {
        bail!("an empty path names nothing; write . for a directory itself");
    }
    if direction == Direction::Sync && sources.len() > 1 {
        bail!("sync takes one SRC; run it for each, or use put -r");
    }
    Ok((sources.to_vec(), dest))
}
