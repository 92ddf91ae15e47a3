//! One accepted connection: the faults below SSH, or a session.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::delay;
use crate::fault::Fault;
use crate::fleet::Shared;
use crate::handler::Conn;
use crate::wire::{Cut, Wire};

/// Serves one connection to the host with index `host` until it ends.
pub(crate) async fn serve(shared: Arc<Shared>, tcp: TcpStream, host: usize) {
    let tally = Arc::clone(&shared);
    let _live = tally.tally.connection();
    let fault = shared.fault(host);
    let result = match fault {
        Some(Fault::Close) => Ok(()),
        Some(Fault::Silent) => drain(tcp).await,
        Some(Fault::BannerFlood) => flood(tcp).await,
        Some(Fault::StallKex) => stall_kex(tcp).await,
        _ => session(shared, tcp, host, fault).await,
    };
    if result.is_err() {
        tally.tally.errors.fetch_add(1, Relaxed);
    }
}

async fn session(
    shared: Arc<Shared>,
    tcp: TcpStream,
    host: usize,
    fault: Option<Fault>,
) -> Result<(), russh::Error> {
    // Answers are written whole; waiting to join them with more would only delay them.
    tcp.set_nodelay(true)?;
    let cut = (fault == Some(Fault::Reset)).then(|| Arc::new(Cut::new()));
    if cut.is_some() {
        // The close of such a socket sends a reset instead of the rest of its bytes.
        tcp.set_zero_linger()?;
    }
    let mut wire = if shared.one_way.is_zero() {
        Wire::socket(tcp)
    } else {
        Wire::delayed(delay::delayed(tcp, shared.one_way))
    };
    if let Some(cut) = &cut {
        wire = wire.with_cut(Arc::clone(cut));
    }
    let config = Arc::clone(shared.config(fault));
    let conn = Conn::new(shared, host, fault, cut);
    russh::server::run_stream(config, wire, conn).await?.await
}

/// Reads and forgets until the peer closes.
async fn drain(mut tcp: TcpStream) -> Result<(), russh::Error> {
    let mut buf = [0; 512];
    while tcp.read(&mut buf).await? > 0 {}
    Ok(())
}

async fn stall_kex(mut tcp: TcpStream) -> Result<(), russh::Error> {
    tcp.write_all(b"SSH-2.0-sshoal-loopback\r\n").await?;
    drain(tcp).await
}

/// Writes lines that are no version until the peer closes.
async fn flood(mut tcp: TcpStream) -> Result<(), russh::Error> {
    const LINE: &[u8] = b"The banner goes on and on and on and on and on and on and on.\r\n";
    let lines = LINE.repeat(256);
    loop {
        match tcp.write_all(&lines).await {
            Ok(()) => {}
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        }
    }
}
