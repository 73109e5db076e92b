//! Whether the DNS process answers: one that hangs does not end, and every pod would wait for names.

use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};

use super::{DnsConfig, relay, wire};

/// Between questions.
const BEAT: Duration = Duration::from_secs(5);
/// Answers that fail to come in a row before the process is given up; each is waited for as long as a client would.
const MISSES: u32 = 3;

/// Returns when the process has left its last questions without an answer.
pub(super) async fn stopped(dns: &DnsConfig) {
    let mut missed = 0;
    while missed < MISSES {
        tokio::time::sleep(BEAT).await;
        missed = if answers(dns).await { 0 } else { missed + 1 };
    }
}

/// Any answer will do: what it says depends on what the process has been told.
async fn answers(dns: &DnsConfig) -> bool {
    let name = format!("kubernetes.default.svc.{}.", dns.domain);
    let question = Name::from_ascii(name)
        .ok()
        .and_then(|name| wire::query(0, name, RecordType::A));
    match question {
        Some(question) => relay::ask(&[dns.address], &question, true).await.is_some(),
        // A domain that cannot be asked for would have been refused at start.
        None => true,
    }
}
