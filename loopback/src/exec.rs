//! Commands that take time: each runs as a task on its channel until it ends or is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use bytes::Bytes;
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Error};
use tokio::task::AbortHandle;

use crate::command::{Command, Exit, Fnv};
use crate::counters::Tally;
use crate::fleet::Shared;
use crate::sftp::{Packets, Sftp};

/// A task on a channel; dropping this ends it.
///
/// russh does not wake a task that waits for a window when its channel or connection goes, so
/// the owner of this must drop it then.
#[derive(Debug)]
pub(crate) struct Running {
    task: AbortHandle,
}

impl Running {
    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Input that a channel received and its command has not taken, in bytes.
///
/// Relaxed: the two sides only need the sum, which may dip below zero when a task takes bytes
/// before they were counted.
#[derive(Debug, Default)]
pub(crate) struct Held(AtomicI64);

impl Held {
    /// Counts bytes that came; returns whether the total is still within bounds.
    pub(crate) fn add(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.0.fetch_add(bytes, Relaxed).saturating_add(bytes) <= INPUT_HELD_BYTES_MAX
    }

    fn take(&self, bytes: usize) {
        self.0
            .fetch_sub(i64::try_from(bytes).unwrap_or(i64::MAX), Relaxed);
    }
}

/// Starts `command` on its channel, which was told that the request succeeded.
pub(crate) fn start(
    command: Command,
    channel: Channel<Msg>,
    held: Arc<Held>,
    shared: Arc<Shared>,
) -> Running {
    let (input, output) = channel.split();
    let task = tokio::spawn(async move {
        let status = match command {
            // Dropping the input makes russh discard it, which is what these commands want.
            Command::Reply {
                stdout,
                stderr,
                exit,
            } => {
                drop(input);
                reply(&output, stdout, stderr).await.map(|()| exit)
            }
            Command::Sleep(duration) => {
                drop(input);
                tokio::time::sleep(duration).await;
                Ok(Exit::Status(0))
            }
            Command::Repeat { pattern, bytes } => {
                drop(input);
                repeat(&output, &pattern, bytes, &shared.tally).await
            }
            Command::Cat => cat(input, &output, &held, &shared.tally).await,
            Command::Hash => hash(input, &output, &held).await,
        };
        // An error means that the connection is gone: there is nobody to tell.
        if let Ok(exit) = status {
            let _gone = finish(&output, exit).await;
        }
    });
    Running {
        task: task.abort_handle(),
    }
}

/// Starts the SFTP subsystem on its channel.
pub(crate) fn start_sftp(
    channel: Channel<Msg>,
    held: Arc<Held>,
    shared: Arc<Shared>,
    host: usize,
) -> Running {
    let (input, output) = channel.split();
    let task = tokio::spawn(async move {
        let sftp = Sftp::new(shared.store.tree(host));
        if let Ok(exit) = serve_sftp(sftp, input, &output, &held, &shared.tally).await {
            let _gone = finish(&output, exit).await;
        }
    });
    Running {
        task: task.abort_handle(),
    }
}

async fn serve_sftp(
    mut sftp: Sftp,
    mut input: ChannelReadHalf,
    output: &ChannelWriteHalf<Msg>,
    held: &Held,
    tally: &Tally,
) -> Result<Exit, Error> {
    let mut packets = Packets::default();
    while let Some(data) = next_data(&mut input).await {
        packets.push(&data);
        loop {
            match packets.next() {
                Ok(Some(request)) => match sftp.answer(request, tally) {
                    Some(answer) => output.data_bytes(answer).await?,
                    None => return Ok(Exit::Status(1)),
                },
                Ok(None) => break,
                Err(_too_long) => return Ok(Exit::Status(1)),
            }
        }
        held.take(data.len());
    }
    Ok(Exit::Status(0))
}

async fn reply(
    output: &ChannelWriteHalf<Msg>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
) -> Result<(), Error> {
    output.data_bytes(stdout).await?;
    output.extended_data_bytes(STDERR, stderr).await
}

async fn repeat(
    output: &ChannelWriteHalf<Msg>,
    pattern: &[u8],
    bytes: u64,
    tally: &Tally,
) -> Result<Exit, Error> {
    // One block for all packets: russh sends slices of it without copying, and only as far as
    // the window reaches. Whole patterns, so that block follows block without a seam.
    let needed = usize::try_from(bytes)
        .unwrap_or(usize::MAX)
        .div_ceil(pattern.len());
    let block = Bytes::from(pattern.repeat(needed.min(BLOCK_BYTES / pattern.len())));
    let mut left = bytes;
    while left > 0 {
        let piece = block.slice(..block.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let sent = piece.len() as u64;
        output.data_bytes(piece).await?;
        tally.output_bytes.fetch_add(sent, Relaxed);
        left -= sent;
    }
    Ok(Exit::Status(0))
}

async fn cat(
    mut input: ChannelReadHalf,
    output: &ChannelWriteHalf<Msg>,
    held: &Held,
    tally: &Tally,
) -> Result<Exit, Error> {
    while let Some(data) = next_data(&mut input).await {
        let bytes = data.len();
        output.data_bytes(data).await?;
        tally.output_bytes.fetch_add(bytes as u64, Relaxed);
        held.take(bytes);
    }
    Ok(Exit::Status(0))
}

async fn hash(
    mut input: ChannelReadHalf,
    output: &ChannelWriteHalf<Msg>,
    held: &Held,
) -> Result<Exit, Error> {
    let mut hash = Fnv::new();
    let mut bytes = 0;
    while let Some(data) = next_data(&mut input).await {
        hash.update(&data);
        bytes += data.len() as u64;
        held.take(data.len());
    }
    output
        .data_bytes(format!("{bytes} {:016x}\n", hash.value()).into_bytes())
        .await?;
    Ok(Exit::Status(0))
}

/// Returns the next bytes of standard input; `None` at its EOF.
async fn next_data(input: &mut ChannelReadHalf) -> Option<Bytes> {
    loop {
        match input.wait().await? {
            ChannelMsg::Data { data } => return Some(data),
            ChannelMsg::Eof | ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

async fn finish(output: &ChannelWriteHalf<Msg>, exit: Exit) -> Result<(), Error> {
    // Exit signals are sent by the session itself, never from a task.
    if let Exit::Status(status) = exit {
        output.exit_status(status).await?;
    }
    output.eof().await?;
    output.close().await
}

/// The extended data type of standard error (RFC 4254 section 5.2).
pub(crate) const STDERR: u32 = 1;

/// Bytes in the block that repeating commands send from.
const BLOCK_BYTES: usize = 128 * 1024;

/// The most input that waits for a command.
///
/// russh widens the receive window as soon as bytes arrive, so a client that sends without
/// reading is not held back by SSH; this bound ends its command instead.
const INPUT_HELD_BYTES_MAX: i64 = 64 << 20;
