//! One connection, from the greeting to its end. Requests and responses alternate, so one task does
//! both; an exchange that is held holds this connection only.

use std::io;
use std::sync::Arc;

use records::schedule::{Link, Moment};

use super::Shared;
use super::handshake;
use super::packet::{HEADER, message_length};
use super::request::{Effect, Follows, Request, Statements, ends_file};
use super::response::{Answer, Response, Step};
use super::socket_pair::SocketPair;
use crate::Class;
use crate::switchboard::{Exchange, ObservedRequest, Passage};

/// A response up to this length is read whole before it is held; of a longer one, this much.
const WITHHELD_MAX: usize = 1 << 20;

pub(super) struct Connection<'a> {
    shared: &'a Shared,
    number: u64,
    wires: SocketPair,
    no_eof: bool,
    statements: Statements,
}

/// Whether the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Goes,
    Ends,
}

impl<'a> Connection<'a> {
    pub(super) fn new(shared: &'a Shared, number: u64, wires: SocketPair) -> Self {
        Self { shared, number, wires, no_eof: false, statements: Statements::new() }
    }

    /// Ends with either side, or with an exchange that is dropped.
    pub(super) async fn run(mut self) -> io::Result<()> {
        if self.greet().await? == On::Ends {
            return Ok(());
        }
        while let Some(length) = self.wires.request().await? {
            let message = &self.wires.from_client[..length];
            let request = Request::read(message, &self.statements, &self.shared.names);
            let (follows, effect) = (request.follows, request.effect.clone());
            let exchange = self.begin(request);
            let open = Arc::clone(&exchange.fingerprint);
            let under_way = self.shared.switchboard.under_way(Link::Mysql, self.number, open);
            if self.may(&exchange, Moment::Before).await == On::Ends {
                return Ok(());
            }
            self.wires.ask(length).await?;
            if follows == Follows::Bytes {
                return self.wires.pass_bytes().await;
            }
            if self.follow(&exchange, follows, effect).await? == On::Ends {
                return Ok(());
            }
            drop(under_way);
            self.shared.switchboard.answered(&exchange);
            if self.may(&exchange, Moment::Replied).await == On::Ends {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn greet(&mut self) -> io::Result<On> {
        let length = loop {
            match message_length(&self.wires.from_server) {
                Some(length) => break length,
                None => self.wires.more_from_server().await?,
            }
        };
        let is_greeting = handshake::narrow(&mut self.wires.from_server[..length]);
        self.wires.answer(length).await?;
        if !is_greeting {
            return Ok(On::Ends);
        }
        let Some(length) = self.wires.request().await? else { return Ok(On::Ends) };
        let login = handshake::login(&self.wires.from_client[..length])?;
        self.no_eof = login.no_eof;
        let mut request = Request::plain(Answer::Nothing, "connect", Class::Reads);
        request.text = format!("connect as {}", login.user);
        let exchange = self.begin(request);
        if self.may(&exchange, Moment::Before).await == On::Ends {
            return Ok(On::Ends);
        }
        self.wires.ask(length).await?;
        match self.log_in(&exchange).await? {
            On::Ends => Ok(On::Ends),
            On::Goes => Ok(self.may(&exchange, Moment::Replied).await),
        }
    }

    fn begin(&self, request: Request) -> Exchange {
        self.shared.switchboard.begin(ObservedRequest {
            link: Link::Mysql,
            connection: self.number,
            fingerprint: request.reading.fingerprint.clone(),
            class: request.reading.class,
            announces: request.reading.announces,
            text: request.text,
        })
    }

    async fn may(&mut self, exchange: &Exchange, moment: Moment) -> On {
        let gone = self.wires.client_gone();
        match self.shared.switchboard.pass(exchange, moment, gone).await {
            Passage::Go => On::Goes,
            Passage::Drop => On::Ends,
        }
    }

    async fn follow(
        &mut self,
        exchange: &Exchange,
        follows: Follows,
        effect: Effect,
    ) -> io::Result<On> {
        match &effect {
            Effect::Closes(number) => drop(self.statements.remove(number)),
            Effect::ClosesAll => self.statements.clear(),
            Effect::Nothing | Effect::Prepares(_) => {}
        }
        let answer = match follows {
            Follows::Bytes | Follows::End => return Ok(On::Ends),
            Follows::Login => return self.log_in(exchange).await,
            Follows::Answer(answer) => answer,
        };
        let Some(mut response) = Response::to_come(answer, self.no_eof) else {
            return Ok(On::Goes);
        };
        let on = self.respond(exchange, &mut response).await?;
        if let (Effect::Prepares(prepared), Some(number)) = (effect, response.prepared()) {
            self.statements.insert(number, prepared);
        }
        Ok(on)
    }

    async fn respond(&mut self, exchange: &Exchange, response: &mut Response) -> io::Result<On> {
        let mut is_withheld = true;
        loop {
            if self.wires.from_server.is_empty() {
                self.wires.more_from_server().await?;
            }
            let (mut length, mut step) = response.walk(&self.wires.from_server);
            if is_withheld && step != Step::File {
                if self.shared.switchboard.awaits(exchange, Moment::Executed) {
                    while step == Step::More && length < WITHHELD_MAX {
                        self.wires.more_from_server().await?;
                        let (more, next) = response.walk(&self.wires.from_server[length..]);
                        (length, step) = (length + more, next);
                    }
                }
                if self.may(exchange, Moment::Executed).await == On::Ends {
                    return Ok(On::Ends);
                }
                is_withheld = false;
            }
            self.wires.answer(length).await?;
            match step {
                Step::More => {}
                Step::File => self.send_file().await?,
                Step::Done => return Ok(On::Goes),
            }
        }
    }

    async fn send_file(&mut self) -> io::Result<()> {
        loop {
            let length = self.wires.request().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let is_last = ends_file(&self.wires.from_client[..length]);
            self.wires.ask(length).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Passes proofs of identity to and fro, until the server accepts or refuses.
    async fn log_in(&mut self, exchange: &Exchange) -> io::Result<On> {
        loop {
            while let Some(length) = message_length(&self.wires.from_server) {
                // OK or an error; anything else asks for more.
                let is_last = matches!(self.wires.from_server.get(HEADER), Some(0x00 | 0xff));
                if is_last && self.may(exchange, Moment::Executed).await == On::Ends {
                    return Ok(On::Ends);
                }
                self.wires.answer(length).await?;
                if is_last {
                    return Ok(On::Goes);
                }
            }
            self.wires.ask(self.wires.from_client.len()).await?;
            self.wires.more().await?;
        }
    }
}
