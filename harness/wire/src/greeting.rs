//! A proxy that changes the version in a MySQL server's greeting, and passes all else as it is: for clients that
//! know a server by that text, and not this one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::conditions::LinkConditions;
use super::listener::Listener;
use super::upstream::Upstream;

/// Of the protocol's handshake: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html>.
const PROTOCOL: u8 = 10;
/// A packet's length and number.
const HEADER: usize = 4;
/// A greeting has some hundred bytes.
const GREETING_MAX: usize = 4_096;

/// A running proxy. Dropped, it closes its connections in the background.
#[derive(Debug)]
pub struct GreetingProxy {
    listener: Listener,
}

impl GreetingProxy {
    /// Listens on a free port of this address, leads every connection to `upstream`, and has it greet as `version`
    /// (`8.4.4`).
    ///
    /// # Errors
    /// There is no such address here, or no free port.
    pub async fn start(bind: IpAddr, upstream: Upstream, version: &str) -> io::Result<Self> {
        let version: Arc<str> = version.into();
        let serve = move |client| {
            let (upstream, version) = (upstream.clone(), Arc::clone(&version));
            async move {
                if let Err(error) = serve(client, &upstream, &version).await {
                    tracing::debug!(%error, "a connection through the greeting's proxy ended");
                }
            }
        };
        let at = SocketAddr::new(bind, 0);
        Ok(Self { listener: Listener::start(at, LinkConditions::default(), serve).await? })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Closes every connection, and returns when all tasks have ended.
    ///
    /// # Errors
    /// They did not end in time, or one ended badly.
    pub async fn stop(self) -> io::Result<()> {
        self.listener.stop().await
    }
}

async fn serve(mut client: TcpStream, upstream: &Upstream, version: &str) -> io::Result<()> {
    let mut server = upstream.connect().await?;
    client.set_nodelay(true)?;
    let mut header = [0; HEADER];
    server.read_exact(&mut header).await?;
    let length =
        usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
    if length > GREETING_MAX {
        let text = format!("a greeting of {length} bytes is none");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut greeting = vec![0; length];
    server.read_exact(&mut greeting).await?;
    client.write_all(&greeting_as(header[3], &greeting, version)).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// The packet of a greeting, with this version; any other packet (an error, say) as it is.
fn greeting_as(number: u8, greeting: &[u8], version: &str) -> Vec<u8> {
    let rest = match greeting {
        [PROTOCOL, text @ ..] => text.iter().position(|byte| *byte == 0).map(|end| &text[end..]),
        _ => None,
    };
    let payload = match rest {
        Some(rest) => [&[PROTOCOL], version.as_bytes(), rest].concat(),
        None => greeting.to_vec(),
    };
    let length = payload.len().to_le_bytes();
    [&[length[0], length[1], length[2], number], payload.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_gets_another_version_and_keeps_all_else() {
        let greeting = b"\x0a9.7.4\0\x08\0\0\0salt";
        let told = greeting_as(0, greeting, "8.4.4-vdiff");
        assert_eq!(told, b"\x15\0\0\x00\x0a8.4.4-vdiff\0\x08\0\0\0salt");
        let refusal = b"\xff\x10\x04too many connections";
        assert_eq!(greeting_as(0, refusal, "8.4.4"), [b"\x17\0\0\0", &refusal[..]].concat());
    }
}
