//! A longer way for bytes: each arrives later by a fixed time, with no limit on the rate.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Puts `one_way` between a socket and the returned stream, in each direction.
///
/// The socket closes when the returned stream is dropped and its bytes are through.
pub(crate) fn delayed(tcp: TcpStream, one_way: Duration) -> DuplexStream {
    let (near, far) = tokio::io::duplex(CHUNK_BYTES * 4);
    tokio::spawn(async move {
        let (tcp_read, tcp_write) = tcp.into_split();
        let (far_read, far_write) = tokio::io::split(far);
        let inward = async {
            // The peer's EOF ends only this direction; answers may still be on their way out.
            let _ended = carry(tcp_read, far_write, one_way).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ended = carry(far_read, tcp_write, one_way) => {}
            () = inward => {}
        }
    });
    near
}

/// Copies until EOF or an error, every byte `one_way` after it was read.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    one_way: Duration,
) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT_CHUNKS_MAX);
    let read = async move {
        let mut buf = vec![0; CHUNK_BYTES];
        loop {
            let n = from.read(&mut buf).await?;
            if n == 0
                || sender
                    .send((Instant::now() + one_way, buf[..n].to_vec()))
                    .await
                    .is_err()
            {
                return io::Result::Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = receiver.recv().await {
            sleep_until(due).await;
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|_| ())
}

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Chunks on their way in one direction: at most 32 MiB, more than any window needs.
const IN_FLIGHT_CHUNKS_MAX: usize = 2048;
