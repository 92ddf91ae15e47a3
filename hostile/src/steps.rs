//! SSH servers that do what no server should: scripts over plain sockets, one thread per client.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

/// What a hostile server does to each client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Says these bytes.
    Say(Vec<u8>),
    /// Says these bytes again and again, until the client goes.
    Forever(Vec<u8>),
    /// Reads until it has seen the client's version line.
    AwaitVersion,
    /// Closes the connection; without it the server falls silent after its last step.
    Close,
}

/// A running hostile server; dropping it ends every connection.
#[derive(Debug)]
pub struct Hostile {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    said: Arc<AtomicU64>,
    acceptor: Option<JoinHandle<()>>,
}

impl Hostile {
    /// Runs the steps for each client on a free port.
    pub fn start(steps: Vec<Step>) -> Self {
        let ip = IpAddr::from(Ipv4Addr::new(127, 4, 0, 1));
        let listener = TcpListener::bind((ip, 0)).expect("binds a loopback address");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (stop, said) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let acceptor = thread::spawn({
            let (stop, said) = (Arc::clone(&stop), Arc::clone(&said));
            move || accept(&listener, &steps, &stop, &said)
        });
        Self {
            address,
            stop,
            said,
            acceptor: Some(acceptor),
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes it got rid of, over all clients.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the acceptor, which then ends its clients.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, steps: &[Step], stop: &AtomicBool, said: &AtomicU64) {
    thread::scope(|scope| {
        let mut clients = Vec::new();
        for client in listener.incoming().flatten() {
            if stop.load(Ordering::Acquire) {
                break;
            }
            clients.extend(client.try_clone());
            scope.spawn(move || {
                // A client that goes away is what most steps wait for.
                let _ = serve(client, steps, said);
            });
        }
        for client in clients {
            let _ = client.shutdown(Shutdown::Both);
        }
    });
}

fn serve(mut client: TcpStream, steps: &[Step], said: &AtomicU64) -> io::Result<()> {
    client.set_nodelay(true)?;
    let say = |client: &mut TcpStream, bytes: &[u8]| {
        client.write_all(bytes)?;
        said.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        io::Result::Ok(())
    };
    for step in steps {
        match step {
            Step::Say(bytes) => say(&mut client, bytes)?,
            Step::Forever(bytes) => loop {
                say(&mut client, bytes)?;
            },
            Step::AwaitVersion => {
                let mut byte = [0];
                while byte != *b"\n" {
                    client.read_exact(&mut byte)?;
                }
            }
            Step::Close => return client.shutdown(Shutdown::Both),
        }
    }
    let mut buffer = [0; 0x1000];
    while client.read(&mut buffer)? > 0 {}
    Ok(())
}
