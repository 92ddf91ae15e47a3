//! The byte stream under a session: a socket, possibly delayed, that can be told to break.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

/// One connection's bytes, as the session reads and writes them.
#[derive(Debug)]
pub(crate) struct Wire {
    inner: Inner,
    cut: Option<Arc<Cut>>,
}

#[derive(Debug)]
enum Inner {
    Socket(TcpStream),
    Delayed(DuplexStream),
}

impl Wire {
    pub(crate) fn socket(tcp: TcpStream) -> Self {
        Self {
            inner: Inner::Socket(tcp),
            cut: None,
        }
    }

    pub(crate) fn delayed(stream: DuplexStream) -> Self {
        Self {
            inner: Inner::Delayed(stream),
            cut: None,
        }
    }

    /// Lets `cut` break this wire.
    pub(crate) fn with_cut(self, cut: Arc<Cut>) -> Self {
        Self {
            cut: Some(cut),
            ..self
        }
    }
}

/// Breaks a wire after so many more bytes.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Bytes that may still be written; `u64::MAX` while no cut is wanted. Relaxed: one number,
    /// and a write that races with the arming may go either way.
    left_bytes: AtomicU64,
}

impl Cut {
    pub(crate) fn new() -> Self {
        Self {
            left_bytes: AtomicU64::new(u64::MAX),
        }
    }

    /// Breaks the wire after `bytes` more have been written.
    pub(crate) fn arm(&self, bytes: u64) {
        self.left_bytes.store(bytes, Relaxed);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Socket(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Inner::Delayed(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let left = this
            .cut
            .as_ref()
            .map_or(u64::MAX, |cut| cut.left_bytes.load(Relaxed));
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let buf = &buf[..buf.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        let written = match &mut this.inner {
            Inner::Socket(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Inner::Delayed(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        if let (Poll::Ready(Ok(n)), Some(cut)) = (&written, &this.cut)
            && left != u64::MAX
        {
            cut.left_bytes.store(left - *n as u64, Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Socket(tcp) => Pin::new(tcp).poll_flush(cx),
            Inner::Delayed(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Socket(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Inner::Delayed(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
