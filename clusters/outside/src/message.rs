//! Questions and answers, as those who answer see them.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

/// How a question came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A stream.
    Tcp,
}

/// One question with what plugins ask about it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The message as it came.
    pub message: Message,
    /// The name as it was asked, letters as they came.
    pub asked: Name,
    /// The name in lower case with a closing dot.
    pub name: String,
    /// What is asked for.
    pub kind: RecordType,
    /// The class, nearly always `IN`.
    pub class: DNSClass,
    /// Who asks.
    pub client: IpAddr,
    /// How it came in.
    pub transport: Transport,
}

impl Request {
    /// A request from a message; `None` when it asks nothing.
    #[must_use]
    pub fn new(message: Message, client: IpAddr, transport: Transport) -> Option<Request> {
        let query = message.queries.first()?;
        let (mut asked, kind, class) = (query.name.clone(), query.query_type, query.query_class);
        asked.set_fqdn(true);
        Some(Request { name: normal(&asked.to_ascii()), asked, kind, class, message, client, transport })
    }

    /// The same request for another name or kind.
    #[must_use]
    pub fn with_question(&self, asked: &Name, kind: RecordType) -> Request {
        let mut message = self.message.clone();
        if let Some(query) = message.queries.first_mut() {
            query.set_name(asked.clone());
            query.set_query_type(kind);
        }
        Request { name: normal(&asked.to_ascii()), asked: asked.clone(), kind, message, ..self.clone() }
    }

    /// Whether the asker wants DNSSEC records.
    #[must_use]
    pub fn wants_dnssec(&self) -> bool {
        self.message.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok)
    }

    /// The largest answer the asker takes, in bytes.
    #[must_use]
    pub fn room(&self) -> u16 {
        match self.transport {
            Transport::Tcp => u16::MAX,
            Transport::Udp => self.message.edns.as_ref().map_or(512, Edns::max_payload).max(512),
        }
    }

    /// An empty answer with `code`: neither AA nor RA.
    #[must_use]
    pub fn reply(&self, code: ResponseCode) -> Message {
        let mut reply =
            Message::new(self.message.metadata.id, MessageType::Response, self.message.metadata.op_code);
        reply.metadata.response_code = code;
        reply.metadata.recursion_desired = self.message.metadata.recursion_desired;
        reply.metadata.checking_disabled = self.message.metadata.checking_disabled;
        reply.add_queries(self.message.queries.iter().cloned());
        reply
    }

    /// The bytes of `reply`, fitted to what the asker takes (TC when it does not fit), with EDNS when it was asked.
    #[must_use]
    pub fn encode(&self, mut reply: Message) -> Option<Vec<u8>> {
        reply.metadata.id = self.message.metadata.id;
        reply.edns = self.message.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(asked.max_payload()).set_dnssec_ok(asked.flags().dnssec_ok).set_version(0);
            edns
        });
        let mut bytes = Vec::with_capacity(512);
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(self.room());
        match reply.emit(&mut encoder) {
            Ok(()) => Some(bytes),
            Err(_) => reply.truncate().to_vec().ok(),
        }
    }
}

/// An address record.
#[must_use]
pub fn address_record(owner: &Name, ttl: u32, address: IpAddr) -> Record {
    Record::from_rdata(owner.clone(), ttl, RData::from(address))
}

/// A name from text, `None` when it is not one.
#[must_use]
pub fn to_name(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// `name` in lower case with a closing dot, as names are compared; the empty name is the root.
#[must_use]
pub fn normal(name: &str) -> String {
    let mut text = name.to_ascii_lowercase();
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

/// The word for a code, as `dig` and CoreDNS print it.
#[must_use]
pub fn code_word(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::NotAuth => "NOTAUTH",
        _ => "OTHER",
    }
}

/// The bytes of a question as a request; `None` when they are none.
#[must_use]
pub fn read_request(bytes: &[u8], from: SocketAddr, transport: Transport) -> Option<Request> {
    Request::new(Message::from_vec(bytes).ok()?, from.ip().to_canonical(), transport)
}
