//! The templates of records: which information elements a record has, and in which order (RFC 7011 section 3.4.1).
//!
//! Identifiers and lengths are those of IANA's registry "IPFIX Information Elements". The lists of elements follow RFC 8158
//! sections 5.5 and 5.6. A template that logs no destination has an identifier of its own, so a change of that setting never
//! gives an identifier another meaning.

/// An information element: its identifier, and the length of its value in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) id: u16,
    pub(crate) length: u16,
}

const fn element(id: u16, length: u16) -> Element {
    Element { id, length }
}

const PROTOCOL_IDENTIFIER: Element = element(4, 1);
const SOURCE_TRANSPORT_PORT: Element = element(7, 2);
const DESTINATION_TRANSPORT_PORT: Element = element(11, 2);
const SOURCE_IPV6_ADDRESS: Element = element(27, 16);
const DESTINATION_IPV6_ADDRESS: Element = element(28, 16);
const SOURCE_IPV6_PREFIX_LENGTH: Element = element(29, 1);
const FLOW_END_REASON: Element = element(136, 1);
const FLOW_START_MILLISECONDS: Element = element(152, 8);
const FLOW_END_MILLISECONDS: Element = element(153, 8);
const POST_NAT_SOURCE_IPV4_ADDRESS: Element = element(225, 4);
const POST_NAT_DESTINATION_IPV4_ADDRESS: Element = element(226, 4);
const POST_NAPT_SOURCE_TRANSPORT_PORT: Element = element(227, 2);
const POST_NAPT_DESTINATION_TRANSPORT_PORT: Element = element(228, 2);
const NAT_EVENT: Element = element(230, 1);
const INITIATOR_OCTETS: Element = element(231, 8);
const RESPONDER_OCTETS: Element = element(232, 8);
const OBSERVATION_TIME_MILLISECONDS: Element = element(323, 8);
const PORT_RANGE_START: Element = element(361, 2);
const PORT_RANGE_END: Element = element(362, 2);
const PORT_RANGE_STEP_SIZE: Element = element(363, 2);
const PORT_RANGE_NUM_PORTS: Element = element(364, 2);
const NAT_QUOTA_EXCEEDED_EVENT: Element = element(466, 4);
const MAX_SESSION_ENTRIES: Element = element(471, 4);
const MAX_BIB_ENTRIES: Element = element(472, 4);
const MAX_ENTRIES_PER_USER: Element = element(473, 4);

/// A template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) id: u16,
    pub(crate) elements: &'static [Element],
}

/// A session begins, without its destination.
pub(crate) static BEGIN: Template = Template {
    id: 256,
    elements: &[
        OBSERVATION_TIME_MILLISECONDS,
        NAT_EVENT,
        PROTOCOL_IDENTIFIER,
        SOURCE_IPV6_ADDRESS,
        SOURCE_TRANSPORT_PORT,
        POST_NAT_SOURCE_IPV4_ADDRESS,
        POST_NAPT_SOURCE_TRANSPORT_PORT,
    ],
};

/// A session begins.
pub(crate) static BEGIN_TO: Template = Template {
    id: 257,
    elements: &[
        OBSERVATION_TIME_MILLISECONDS,
        NAT_EVENT,
        PROTOCOL_IDENTIFIER,
        SOURCE_IPV6_ADDRESS,
        SOURCE_TRANSPORT_PORT,
        POST_NAT_SOURCE_IPV4_ADDRESS,
        POST_NAPT_SOURCE_TRANSPORT_PORT,
        DESTINATION_IPV6_ADDRESS,
        DESTINATION_TRANSPORT_PORT,
        POST_NAT_DESTINATION_IPV4_ADDRESS,
        POST_NAPT_DESTINATION_TRANSPORT_PORT,
    ],
};

/// A session ended, without its destination.
pub(crate) static END: Template = Template {
    id: 258,
    elements: &[
        OBSERVATION_TIME_MILLISECONDS,
        NAT_EVENT,
        PROTOCOL_IDENTIFIER,
        SOURCE_IPV6_ADDRESS,
        SOURCE_TRANSPORT_PORT,
        POST_NAT_SOURCE_IPV4_ADDRESS,
        POST_NAPT_SOURCE_TRANSPORT_PORT,
        FLOW_START_MILLISECONDS,
        FLOW_END_MILLISECONDS,
        INITIATOR_OCTETS,
        RESPONDER_OCTETS,
        FLOW_END_REASON,
    ],
};

/// A session ended.
pub(crate) static END_TO: Template = Template {
    id: 259,
    elements: &[
        OBSERVATION_TIME_MILLISECONDS,
        NAT_EVENT,
        PROTOCOL_IDENTIFIER,
        SOURCE_IPV6_ADDRESS,
        SOURCE_TRANSPORT_PORT,
        POST_NAT_SOURCE_IPV4_ADDRESS,
        POST_NAPT_SOURCE_TRANSPORT_PORT,
        DESTINATION_IPV6_ADDRESS,
        DESTINATION_TRANSPORT_PORT,
        POST_NAT_DESTINATION_IPV4_ADDRESS,
        POST_NAPT_DESTINATION_TRANSPORT_PORT,
        FLOW_START_MILLISECONDS,
        FLOW_END_MILLISECONDS,
        INITIATOR_OCTETS,
        RESPONDER_OCTETS,
        FLOW_END_REASON,
    ],
};

/// The relay has as many sessions as it may have.
pub(crate) static SESSIONS_FULL: Template = Template {
    id: 260,
    elements: &[OBSERVATION_TIME_MILLISECONDS, NAT_EVENT, NAT_QUOTA_EXCEEDED_EVENT, MAX_SESSION_ENTRIES],
};

/// A client has as many sessions as it may have.
pub(crate) static CLIENT_FULL: Template = Template {
    id: 261,
    elements: &[
        OBSERVATION_TIME_MILLISECONDS,
        NAT_EVENT,
        NAT_QUOTA_EXCEEDED_EVENT,
        MAX_ENTRIES_PER_USER,
        SOURCE_IPV6_ADDRESS,
    ],
};

/// A client network got a block of ports, or gave one back.
pub(crate) static PORT_BLOCK: Template = Template {
    id: 262,
    elements: &[
        OBSERVATION_TIME_MILLISECONDS,
        NAT_EVENT,
        SOURCE_IPV6_ADDRESS,
        SOURCE_IPV6_PREFIX_LENGTH,
        POST_NAT_SOURCE_IPV4_ADDRESS,
        PORT_RANGE_START,
        PORT_RANGE_END,
        PORT_RANGE_STEP_SIZE,
        PORT_RANGE_NUM_PORTS,
    ],
};

/// The relay has as many mappings of datagrams as it may have.
pub(crate) static MAPPINGS_FULL: Template = Template {
    id: 263,
    elements: &[OBSERVATION_TIME_MILLISECONDS, NAT_EVENT, NAT_QUOTA_EXCEEDED_EVENT, MAX_BIB_ENTRIES],
};

/// Every template, in the order in which an exporter announces them.
pub(crate) static ALL: [&Template; 8] =
    [&BEGIN, &BEGIN_TO, &END, &END_TO, &SESSIONS_FULL, &CLIENT_FULL, &PORT_BLOCK, &MAPPINGS_FULL];
