//! The two sockets of one connection, and what was read from them ahead.
//!
//! Whoever waits for one side watches the other: a client that dies is seen at once, whatever the
//! server is doing, and its connection to the server ends then, as it would without a proxy.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::packet::message_length;
use crate::conditions::{Conditioned, Wire};

/// Room for one read of the server; a row stream is passed in pieces of this size.
const READ: usize = 128 << 10;
/// Room for one read of the client, whose requests are small.
const ASKED: usize = 16 << 10;
/// What a client may send ahead while it waits; more stays in its socket.
const AHEAD_MAX: usize = 1 << 20;
/// No server takes a longer one.
const REQUEST_MAX: usize = 1 << 30;

pub(super) struct SocketPair {
    client: Conditioned<TcpStream>,
    server: Conditioned<TcpStream>,
    /// Read, and not forwarded.
    pub(super) from_client: BytesMut,
    /// Read, and not forwarded.
    pub(super) from_server: BytesMut,
}

/// Which side was heard.
enum Heard {
    Client(usize),
    Server(usize),
}

impl SocketPair {
    pub(super) fn new(client: Conditioned<TcpStream>, server: Conditioned<TcpStream>) -> Self {
        Self { client, server, from_client: BytesMut::new(), from_server: BytesMut::new() }
    }

    /// Waits for bytes of either side; those of a client are left alone once it is far ahead.
    async fn hear(&mut self) -> io::Result<Heard> {
        let Self { client, server, from_client, from_server } = self;
        let listens = from_client.len() < AHEAD_MAX;
        from_server.reserve(READ);
        if listens {
            from_client.reserve(ASKED);
        }
        let (heard, is_server) = tokio::select! {
            biased;
            read = server.read_buf(from_server) => (read.map(Heard::Server), true),
            read = client.read_buf(from_client), if listens => (read.map(Heard::Client), false),
        };
        if heard.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
            // A reset of one side is one of the other. It fails when that one has ended itself.
            let other = if is_server { client.socket() } else { server.socket() };
            let _ended = other.end_abruptly();
        }
        heard
    }

    /// The length of the client's next message, once all of it is in `from_client`; none at the end.
    pub(super) async fn request(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some(length) = message_length(&self.from_client) {
                return Ok(Some(length));
            }
            if self.from_client.len() > REQUEST_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a request is too long"));
            }
            let heard = if self.from_client.len() < AHEAD_MAX {
                self.hear().await?
            } else {
                self.from_client.reserve(READ);
                Heard::Client(self.client.read_buf(&mut self.from_client).await?)
            };
            match heard {
                Heard::Client(0) | Heard::Server(0) => return Ok(None),
                Heard::Client(_) => {}
                // Unasked: why it is about to close.
                Heard::Server(_) => self.answer(self.from_server.len()).await?,
            }
        }
    }

    /// Waits for more bytes of the server.
    ///
    /// # Errors
    /// Either side has ended.
    pub(super) async fn more_from_server(&mut self) -> io::Result<()> {
        loop {
            match self.hear().await? {
                Heard::Server(0) => return Err(ended("the server")),
                Heard::Client(0) => return Err(ended("the client")),
                Heard::Server(_) => return Ok(()),
                Heard::Client(_) => {}
            }
        }
    }

    /// Waits for more bytes of either side.
    ///
    /// # Errors
    /// Either side has ended.
    pub(super) async fn more(&mut self) -> io::Result<()> {
        match self.hear().await? {
            Heard::Server(0) => Err(ended("the server")),
            Heard::Client(0) => Err(ended("the client")),
            Heard::Server(_) | Heard::Client(_) => Ok(()),
        }
    }

    /// Forwards the first bytes from the client.
    pub(super) async fn ask(&mut self, length: usize) -> io::Result<()> {
        self.server.write_all(&self.from_client[..length]).await?;
        self.from_client.advance(length);
        Ok(())
    }

    /// Forwards the first bytes from the server.
    pub(super) async fn answer(&mut self, length: usize) -> io::Result<()> {
        self.client.write_all(&self.from_server[..length]).await?;
        self.from_server.advance(length);
        Ok(())
    }

    /// Ends when the client has. What it sends meanwhile is kept, and what is too much stays in its
    /// socket: then its end is not seen.
    pub(super) async fn client_gone(&mut self) {
        loop {
            if self.from_client.len() >= AHEAD_MAX {
                return std::future::pending().await;
            }
            self.from_client.reserve(ASKED);
            match self.client.read_buf(&mut self.from_client).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Passes bytes both ways, undecoded, until either side ends.
    pub(super) async fn pass_bytes(mut self) -> io::Result<()> {
        self.ask(self.from_client.len()).await?;
        self.answer(self.from_server.len()).await?;
        tokio::io::copy_bidirectional(&mut self.client, &mut self.server).await?;
        Ok(())
    }
}

fn ended(who: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("{who} ended the connection"))
}
