//! From a query's bytes to an answer's bytes. Pure; what has to be asked elsewhere is said in [`Reply`].

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use super::zone::{Answer, Record, TTL_SECONDS, Wanted, Zone};
use crate::model::State;

/// The largest answer over UDP to a client that does not say what it takes (RFC 1035, 2.3.4).
const UDP_DEFAULT_BYTES: u16 = 512;
/// The largest answer over UDP to any client: what fits any path without fragments (DNS flag day 2020).
const UDP_MAX_BYTES: u16 = 1232;
/// An alias of an alias of … ends here.
const MAX_ALIASES: usize = 8;

/// What to do with a query.
#[derive(Debug)]
pub enum Reply {
    /// Send this.
    Send(Vec<u8>),
    /// Relay the query as it is.
    Relay,
    /// Ask for this name elsewhere and add what comes back to the answer.
    Chase(Box<Message>, Name, RecordType),
    /// Not a query; say nothing.
    Ignore,
}

/// Answers one query.
pub fn reply(zone: &Zone, state: &State, bytes: &[u8], udp: bool) -> Reply {
    let Ok(query) = Message::from_vec(bytes) else {
        return match bytes.get(..12) {
            // Enough of a header to say that the rest is not understood, and not itself an answer.
            Some(head) if head[2] & 0x80 == 0 => {
                let id = u16::from_be_bytes([head[0], head[1]]);
                send(
                    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr),
                    false,
                    0,
                )
            }
            _ => Reply::Ignore,
        };
    };
    if query.metadata.message_type != MessageType::Query {
        return Reply::Ignore;
    }
    let limit = size_limit(&query, udp);
    let mut response = response_to(&query);
    if query.metadata.op_code != OpCode::Query {
        response.metadata.response_code = ResponseCode::NotImp;
        return send(response, udp, limit);
    }
    let [question] = query.queries.as_slice() else {
        response.metadata.response_code = ResponseCode::FormErr;
        return send(response, udp, limit);
    };
    let kind = question.query_type();
    let mut owner = question.name().clone();
    for _ in 0..MAX_ALIASES {
        let text = owner.to_lowercase().to_ascii();
        let answer = match question.query_class() {
            DNSClass::IN | DNSClass::ANY => {
                zone.answer(state, text.trim_end_matches('.'), wanted(kind))
            }
            _ => Answer::NotOurs,
        };
        match answer {
            Answer::NotOurs if response.answers.is_empty() => return Reply::Relay,
            Answer::NotOurs => return Reply::Chase(Box::new(response), owner, kind),
            Answer::NoSuchName => {
                response.metadata.response_code = ResponseCode::NXDomain;
                response.add_authority(soa(zone));
                return send(response, udp, limit);
            }
            Answer::Records(records) => {
                let alias = match records.as_slice() {
                    [Record::Cname(target)] if kind != RecordType::CNAME => {
                        Name::from_ascii(format!("{target}.")).ok()
                    }
                    _ => None,
                };
                if records.is_empty() {
                    response.add_authority(soa(zone));
                }
                for record in records {
                    if let Some(data) = data(record) {
                        response.add_answer(hickory_proto::rr::Record::from_rdata(
                            owner.clone(),
                            TTL_SECONDS,
                            data,
                        ));
                    }
                }
                match alias {
                    Some(target) => owner = target,
                    None => return send(response, udp, limit),
                }
            }
        }
    }
    response.metadata.response_code = ResponseCode::ServFail;
    send(response, udp, limit)
}

/// A query of our own for `name`.
pub fn query(id: u16, name: Name, kind: RecordType) -> Option<Vec<u8>> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    message.to_vec().ok()
}

/// The answer when nobody upstream answers.
pub fn failure(bytes: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_vec(bytes).ok()?;
    let mut response = response_to(&query);
    response.metadata.authoritative = false;
    response.metadata.response_code = ResponseCode::ServFail;
    response.to_vec().ok()
}

/// Adds what came back for an alias to the answer so far.
pub fn chased(
    mut response: Message,
    upstream: Option<&[u8]>,
    query: &[u8],
    udp: bool,
) -> Option<Vec<u8>> {
    match upstream.and_then(|bytes| Message::from_vec(bytes).ok()) {
        Some(found) => {
            response.add_answers(found.answers);
            if found.metadata.response_code != ResponseCode::NoError {
                response.metadata.response_code = found.metadata.response_code;
            }
        }
        None => response.metadata.response_code = ResponseCode::ServFail,
    }
    let limit = Message::from_vec(query).map_or(UDP_DEFAULT_BYTES, |q| size_limit(&q, udp));
    match send(response, udp, limit) {
        Reply::Send(bytes) => Some(bytes),
        _ => None,
    }
}

fn size_limit(query: &Message, udp: bool) -> u16 {
    if !udp {
        return u16::MAX;
    }
    let asked = query
        .edns
        .as_ref()
        .map_or(UDP_DEFAULT_BYTES, Edns::max_payload);
    asked.clamp(UDP_DEFAULT_BYTES, UDP_MAX_BYTES)
}

fn response_to(query: &Message) -> Message {
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.authoritative = true;
    response.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX_BYTES);
        response.set_edns(edns);
    }
    response
}

fn send(response: Message, udp: bool, limit: u16) -> Reply {
    match response.to_vec() {
        Ok(bytes) if !udp || bytes.len() <= usize::from(limit) => Reply::Send(bytes),
        // The client asks again over TCP.
        Ok(_) => response
            .truncate()
            .to_vec()
            .map_or(Reply::Ignore, Reply::Send),
        Err(error) => {
            tracing::debug!(%error, "an answer cannot be written");
            let failed =
                Message::error_msg(response.metadata.id, OpCode::Query, ResponseCode::ServFail);
            failed.to_vec().map_or(Reply::Ignore, Reply::Send)
        }
    }
}

fn wanted(kind: RecordType) -> Wanted {
    match kind {
        RecordType::A => Wanted::A,
        RecordType::SRV => Wanted::Srv,
        RecordType::PTR => Wanted::Ptr,
        RecordType::TXT => Wanted::Txt,
        RecordType::ANY => Wanted::Any,
        _ => Wanted::Other,
    }
}

fn data(record: Record) -> Option<RData> {
    let name = |text: String| Name::from_ascii(format!("{text}.")).ok();
    Some(match record {
        Record::A(ip) => RData::A(A(ip)),
        Record::Cname(target) => RData::CNAME(CNAME(name(target)?)),
        Record::Srv(port, target) => RData::SRV(SRV::new(0, 100, port, name(target)?)),
        Record::Ptr(target) => RData::PTR(PTR(name(target)?)),
        Record::Txt(text) => RData::TXT(TXT::new(vec![text])),
    })
}

/// The zone's SOA: how long a "no" may be kept (RFC 2308).
fn soa(zone: &Zone) -> hickory_proto::rr::Record {
    let name = |text: String| Name::from_ascii(text).unwrap_or_else(|_| Name::root());
    let domain = zone.domain();
    let data = SOA::new(
        name(format!("ns.dns.{domain}.")),
        name(format!("hostmaster.{domain}.")),
        1,
        7200,
        1800,
        86400,
        TTL_SECONDS,
    );
    hickory_proto::rr::Record::from_rdata(name(format!("{domain}.")), TTL_SECONDS, RData::SOA(data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{config, state};
    use proptest::prelude::*;
    use serde_json::json;

    fn ask(name: &str, kind: RecordType, udp: bool, endpoints: usize) -> Reply {
        let config = config();
        let zone = Zone::new(&config.cluster_domain, config.service_cidr, config.pod_cidr);
        let many: Vec<_> = (0..endpoints)
            .map(|i| json!({"addresses": [format!("10.42.{}.{}", i / 250, i % 250 + 1)]}))
            .collect();
        let state = state(&[
            json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "10.43.0.5", "ports": [{"port": 80}]}}),
            json!({"metadata": {"name": "out"}, "spec": {"type": "ExternalName", "externalName": "example.com"}}),
            json!({"metadata": {"name": "in"}, "spec": {"type": "ExternalName", "externalName": "web.default.svc.cluster.local"}}),
            json!({"metadata": {"name": "loop"}, "spec": {"type": "ExternalName", "externalName": "loop.default.svc.cluster.local"}}),
            json!({"metadata": {"name": "many"}, "spec": {"clusterIP": "None"}}),
            json!({"metadata": {"name": "many-1", "labels": {"kubernetes.io/service-name": "many"}}, "addressType": "IPv4",
                   "endpoints": many, "ports": []}),
        ]);
        reply(
            &zone,
            &state,
            &query(7, Name::from_ascii(name).unwrap(), kind).unwrap(),
            udp,
        )
    }

    fn check(reply: Reply, code: ResponseCode, answers: usize, truncated: bool) {
        let Reply::Send(bytes) = reply else {
            panic!("{reply:?}")
        };
        let message = Message::from_vec(&bytes).unwrap();
        assert_eq!(
            (
                message.metadata.id,
                message.metadata.response_code,
                message.answers.len(),
                message.metadata.truncation
            ),
            (7, code, answers, truncated)
        );
    }

    #[test]
    fn answers() {
        check(
            ask("WEB.default.svc.cluster.local.", RecordType::A, true, 0),
            ResponseCode::NoError,
            1,
            false,
        );
        check(
            ask("web.default.svc.cluster.local.", RecordType::AAAA, true, 0),
            ResponseCode::NoError,
            0,
            false,
        );
        check(
            ask("no.default.svc.cluster.local.", RecordType::A, true, 0),
            ResponseCode::NXDomain,
            0,
            false,
        );
        check(
            ask("in.default.svc.cluster.local.", RecordType::A, true, 0),
            ResponseCode::NoError,
            2,
            false,
        );
        check(
            ask("loop.default.svc.cluster.local.", RecordType::A, true, 0),
            ResponseCode::ServFail,
            8,
            false,
        );
        check(
            ask("many.default.svc.cluster.local.", RecordType::A, true, 100),
            ResponseCode::NoError,
            0,
            true,
        );
        check(
            ask("many.default.svc.cluster.local.", RecordType::A, false, 100),
            ResponseCode::NoError,
            100,
            false,
        );
        assert!(matches!(
            ask("example.com.", RecordType::A, true, 0),
            Reply::Relay
        ));
        assert!(matches!(
            ask("out.default.svc.cluster.local.", RecordType::A, true, 0),
            Reply::Chase(..)
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let config = config();
            let zone = Zone::new(&config.cluster_domain, config.service_cidr, config.pod_cidr);
            let _ = reply(&zone, &State::default(), &bytes, true);
        }
    }
}
