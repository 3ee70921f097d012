//! A line that breaks: what stands between a client and a server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A way to a server: what goes through it is counted, and a connection is cut when so much has come through it.
pub struct Bridge {
    pub most_at_once: AtomicUsize,
    at_once: AtomicUsize,
    pub cuts: AtomicUsize,
    pub bytes: AtomicUsize,
}

impl Bridge {
    /// Gives its address. It ends with the test.
    pub fn to(server: &str, listen: &str, cut_after: Option<usize>) -> (String, Arc<Self>) {
        let listener = TcpListener::bind(listen).expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let bridge = Arc::new(Self {
            most_at_once: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        });
        let (counts, server) = (bridge.clone(), server.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (counts, server) = (counts.clone(), server.clone());
                thread::spawn(move || counts.carry(client, &server, cut_after.unwrap_or(usize::MAX)));
            }
        });
        (address, bridge)
    }

    fn carry(&self, mut client: TcpStream, address: &str, cut_after: usize) {
        let Ok(mut server) = TcpStream::connect(address) else { return };
        let (mut from, mut to) = (client.try_clone().expect("a descriptor"), server.try_clone().expect("a descriptor"));
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        let (mut buffer, mut carried) = (vec![0; 16 * 1024], 0);
        let mut counted = false;
        while let Ok(count @ 1..) = server.read(&mut buffer) {
            // Only what is a layer: other answers are short.
            if carried > buffer.len() && !counted {
                counted = true;
                let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
                self.most_at_once.fetch_max(now, Ordering::SeqCst);
                // So that one is not through before the next has begun.
                thread::sleep(Duration::from_millis(50));
            }
            carried += count;
            self.bytes.fetch_add(count, Ordering::SeqCst);
            if client.write_all(&buffer[..count]).is_err() {
                break;
            }
            if carried >= cut_after {
                self.cuts.fetch_add(1, Ordering::SeqCst);
                break;
            }
        }
        self.at_once.fetch_sub(usize::from(counted), Ordering::SeqCst);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}
