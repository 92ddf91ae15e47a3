//! Keys that are taken though no file knows them: under accept-new one by one, or by the user's
//! word for many at once.

use super::check::Standing;
use super::{Accepted, HostKeyError, HostKeyPolicy, HostKeys, SeenKey};
use crate::known_hosts::append::{Line, Refusal};
use crate::known_hosts::key::Key;
use crate::known_hosts::{LookupName, Verdict};

impl HostKeys {
    /// Takes keys that [`probe`](super::probe()) saw, by the user's word: they are trusted from
    /// here on and stored as under [`HostKeyPolicy::AcceptNew`]. Returns a result for each, in
    /// their order. Blocks on the disk.
    ///
    /// # Errors
    /// Each fails if another key was accepted for the same name in this run, if the file holds
    /// another one by now, if it cannot be stored, or if the policy is
    /// [`HostKeyPolicy::Strict`], which takes keys out of files only.
    pub fn accept(&self, seen: &[SeenKey]) -> Vec<Result<(), HostKeyError>> {
        // All are queued before the first is waited for, so that they cost one write.
        let queued: Vec<_> = seen.iter().map(|seen| self.note_seen(seen)).collect();
        let finish = |(seen, queued): (&SeenKey, Result<Option<Line>, HostKeyError>)| {
            queued.and_then(|line| self.wait_for(seen.lookup_name(), seen.key(), line))
        };
        seen.iter().zip(queued).map(finish).collect()
    }

    /// Takes a key by the user's word that another process has: a name as
    /// [`SeenKey::name`] gives it, and the key as [`SeenKey::public_key`] does. It is trusted from
    /// here on, and stored by nobody. Returns whether it was: a key that is no such key, or
    /// another one for the same name, is not.
    pub fn accept_told(&self, name: &str, public_key: &str) -> bool {
        let mut fields = public_key.split(' ').map(str::as_bytes);
        let (Some(algorithm), Some(base64)) = (fields.next(), fields.next()) else {
            return false;
        };
        let Some(key) = Key::from_fields(algorithm, base64) else {
            return false;
        };
        if self.policy == HostKeyPolicy::Strict {
            return false;
        }
        let with_port = name
            .strip_prefix('[')
            .and_then(|rest| rest.rsplit_once("]:"));
        let with_port = with_port.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let name = match with_port {
            Some((host, port)) => LookupName::new(host, port),
            None => LookupName::alias(name),
        };
        let mut accepted = self.accepted.lock();
        let entry = accepted.entry(name).or_insert_with(|| Accepted {
            key: key.clone(),
            line: None,
        });
        entry.key == key
    }

    fn note_seen(&self, seen: &SeenKey) -> Result<Option<Line>, HostKeyError> {
        if seen.is_known() {
            return Ok(None);
        }
        if self.policy == HostKeyPolicy::Strict {
            return Err(HostKeyError::unknown(seen.lookup_name(), seen.key()));
        }
        // Other `HostKeys` may have looked, which know less.
        match self.examine(seen.lookup_name(), seen.key().blob())? {
            Standing::Known => Ok(None),
            Standing::Changed(error) => Err(error),
            Standing::Unknown(..) => self.note(seen.lookup_name(), seen.key()),
        }
    }

    /// Takes a key that no file knows and stores it, unless this run has seen another one for the
    /// same name. Blocks on the disk.
    pub(super) fn take(&self, name: &LookupName, key: Key) -> Result<(), HostKeyError> {
        let line = self.note(name, &key)?;
        self.wait_for(name, &key, line)
    }

    /// Returns whether this very key was accepted for a host in this run.
    ///
    /// # Errors
    /// Fails if another one was.
    pub(super) fn was_accepted(&self, name: &LookupName, key: &Key) -> Result<bool, HostKeyError> {
        match self.accepted.lock().get(name) {
            None => Ok(false),
            Some(accepted) if accepted.key == *key => Ok(true),
            Some(_) => Err(HostKeyError::conflict(name, key)),
        }
    }

    /// Keeps a key for this run and queues it for the file, if there is one.
    fn note(&self, name: &LookupName, key: &Key) -> Result<Option<Line>, HostKeyError> {
        let mut accepted = self.accepted.lock();
        let entry = accepted.entry(name.clone()).or_insert_with(|| Accepted {
            key: key.clone(),
            line: None,
        });
        if entry.key != *key {
            return Err(HostKeyError::conflict(name, key));
        }
        if let Some(store) = &self.store
            && entry.line.as_ref().is_none_or(Line::has_failed)
        {
            entry.line = Some(store.queue(name, key));
        }
        Ok(entry.line.clone())
    }

    /// Waits until a noted key is in the file; one that cannot be is not kept.
    fn wait_for(
        &self,
        name: &LookupName,
        key: &Key,
        line: Option<Line>,
    ) -> Result<(), HostKeyError> {
        let Some((store, line)) = self.store.as_ref().zip(line) else {
            return Ok(());
        };
        let Err(refusal) = store.flush(&line) else {
            return Ok(());
        };
        self.accepted
            .lock()
            .retain(|kept, accepted| kept != name || accepted.key != *key);
        Err(match refusal {
            Refusal::Judged(Verdict::Changed { file, line }) => {
                HostKeyError::changed(name, key, file, line)
            }
            Refusal::Judged(Verdict::Revoked { file, line }) => {
                HostKeyError::revoked(name, key, file, line)
            }
            Refusal::Judged(_) => HostKeyError::unknown(name, key),
            Refusal::Io(error) => HostKeyError::Store {
                path: store.path().to_owned(),
                source: std::io::Error::new(error.kind(), error),
            },
        })
    }
}
