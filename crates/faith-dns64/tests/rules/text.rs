//! Messages as text: `CODE | answers | authorities | additionals`, records apart by `;`.

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, NULL, PTR, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// A query such as `www.example. AAAA rd cd do`: flags behind the type; `edns` adds an OPT record, `do` sets its DO bit.
pub(crate) fn query(text: &str) -> Message {
    let words: Vec<&str> = text.split_whitespace().collect();
    let flag = |flag| words.contains(&flag);
    let mut query = Message::query();
    query.metadata.id = 4711;
    query.metadata.recursion_desired = flag("rd");
    query.metadata.checking_disabled = flag("cd");
    query.add_query(Query::query(name(words[0]), words[1].parse().unwrap()));
    if flag("edns") || flag("do") {
        let mut edns = Edns::new();
        edns.set_dnssec_ok(flag("do"));
        query.set_edns(edns);
    }
    query
}

/// An upstream's response. `SERVFAIL+6` has an extended error, `tc` is truncated.
pub(crate) fn response(text: &str) -> Message {
    let mut sections = text.split('|').map(str::trim);
    let mut response = Message::response(99, OpCode::Query);
    response.metadata.recursion_available = true;
    response.metadata.authentic_data = true;
    for word in sections.next().unwrap().split_whitespace() {
        let (code, error) = word.split_once('+').map_or((word, None), |(code, error)| (code, Some(error)));
        match code {
            "NOERROR" => response.metadata.response_code = ResponseCode::NoError,
            "NXDOMAIN" => response.metadata.response_code = ResponseCode::NXDomain,
            "SERVFAIL" => response.metadata.response_code = ResponseCode::ServFail,
            "REFUSED" => response.metadata.response_code = ResponseCode::Refused,
            "NOTIMP" => response.metadata.response_code = ResponseCode::NotImp,
            "FORMERR" => response.metadata.response_code = ResponseCode::FormErr,
            "tc" => response.metadata.truncation = true,
            other => panic!("{other}"),
        }
        if let Some(error) = error {
            let mut edns = Edns::new();
            let code: u16 = error.parse().unwrap();
            edns.options_mut().insert(EdnsOption::Unknown(15, code.to_be_bytes().to_vec()));
            response.set_edns(edns);
        }
    }
    let mut section = || sections.next().unwrap_or_default();
    response.add_answers(records(section()));
    response.add_authorities(records(section()));
    response.add_additionals(records(section()));
    response
}

fn records(text: &str) -> Vec<Record> {
    text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(record).collect()
}

fn record(text: &str) -> Record {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [owner, ttl, kind, data] = words[..] else { panic!("{text}") };
    let unknown = |code, bytes| RData::Unknown { code, rdata: NULL::with(bytes) };
    let data = match kind {
        "A" => RData::A(A(data.parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(data.parse().unwrap())),
        "CNAME" => RData::CNAME(CNAME(name(data))),
        "PTR" => RData::PTR(PTR(name(data))),
        "NS" => RData::NS(NS(name(data))),
        // The data is the field that limits how long an absence may be kept.
        "SOA" => RData::SOA(SOA::new(name("ns."), name("admin."), 1, 1, 1, 1, data.parse().unwrap())),
        // The data stands for the target's name in wire form.
        "DNAME" => unknown(RecordType::DNAME, data.as_bytes().to_vec()),
        // The data is the type that is signed.
        "RRSIG" => {
            let covered: RecordType = data.parse().unwrap();
            unknown(RecordType::RRSIG, u16::from(covered).to_be_bytes().to_vec())
        }
        other => panic!("{other}"),
    };
    Record::from_rdata(name(owner), ttl.parse().unwrap(), data)
}

/// The response in the form that [`response`] reads.
pub(crate) fn show(response: &Message) -> String {
    let code = match response.metadata.response_code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::Refused => "REFUSED",
        other => panic!("{other}"),
    };
    let mut text = String::from(code);
    if response.truncation {
        text.push_str(" tc");
    }
    let errors = response.edns.iter().flat_map(|edns| edns.options().as_ref());
    for (_, option) in errors {
        let EdnsOption::Unknown(15, data) = option else { panic!("{option:?}") };
        text.push('+');
        text.push_str(&u16::from_be_bytes([data[0], data[1]]).to_string());
    }
    let sections = [&response.answers, &response.authorities, &response.additionals];
    let filled = sections.iter().rposition(|section| !section.is_empty()).map_or(0, |last| last + 1);
    for section in &sections[..filled] {
        let shown: Vec<String> = section.iter().map(show_record).collect();
        text.push_str(" | ");
        text.push_str(&shown.join("; "));
    }
    text.replace("|  |", "| |")
}

fn show_record(record: &Record) -> String {
    let data = match &record.data {
        RData::A(address) => address.0.to_string(),
        RData::AAAA(address) => address.0.to_string(),
        RData::CNAME(target) => target.0.to_string(),
        RData::PTR(target) => target.0.to_string(),
        RData::NS(server) => server.0.to_string(),
        RData::SOA(soa) => soa.minimum.to_string(),
        RData::Unknown { code: RecordType::RRSIG, rdata } => {
            RecordType::from(u16::from_be_bytes([rdata.anything[0], rdata.anything[1]])).to_string()
        }
        RData::Unknown { rdata, .. } => String::from_utf8(rdata.anything.clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    format!("{} {} {} {data}", record.name, record.ttl, record.record_type())
}
