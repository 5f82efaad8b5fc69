//! Answers queries: by the plan of faith-dns64, by the program, out of the cache, and by asking upstreams.
//!
//! A query that comes while the same one is under way waits for its response, so a popular name costs one query to
//! the upstream. Responses that are not synthesised pass as octets.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use faith_dns64::{Options, Plan, Withheld, answer_own, failure, plan, reverse, synthesise, wants_a};
use faith_packet::cidr::Ipv6Prefix;
use futures_util::future::{FutureExt, LocalBoxFuture, Shared, join};
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use crate::ask::Ask;
use crate::cache::{Cache, Key};
use crate::clients::{Allowance, Clients, Limits, Turn};
use crate::counters::Counters;
use crate::entry::{Entry, Made};
use crate::hook::{Hook, Unanswered, text_of};
use crate::loops::{Companies, Company};
use crate::request::Request;
use crate::resolver::Resolver;
use crate::settings::{Fault, Gate, Settings};
use crate::wire::{self, Question};

/// A query to an upstream that is under way.
type Response = Shared<LocalBoxFuture<'static, Option<Rc<Entry>>>>;

/// Queries to upstreams that are under way, by the question and RD.
type Underway = HashMap<(Key, bool), (Response, Rc<Company>)>;

/// Answers queries, on one thread.
pub(crate) struct Forwarder {
    settings: Arc<ArcSwap<Settings>>,
    gate: Arc<dyn Gate>,
    hook: Option<Hook>,
    resolver: Rc<Resolver>,
    cache: Rc<RefCell<Cache>>,
    underway: Rc<RefCell<Underway>>,
    companies: Rc<Companies>,
    clients: Clients,
    /// The networks for which it was told that another client is refused.
    told: RefCell<Option<Vec<Ipv6Prefix>>>,
    pub(crate) counters: Arc<Counters>,
}

/// The refusal of a query because too many wait.
struct Overload;

impl Forwarder {
    pub(crate) fn new(
        settings: Arc<ArcSwap<Settings>>,
        gate: Arc<dyn Gate>,
        hook: Option<Hook>,
        resolver: Resolver,
        cache_bytes: usize,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            settings,
            gate,
            hook,
            resolver: Rc::new(resolver),
            cache: Rc::new(RefCell::new(Cache::new(cache_bytes, Arc::clone(&counters)))),
            underway: Rc::default(),
            companies: Rc::default(),
            clients: Clients::new(),
            told: RefCell::default(),
            counters,
        }
    }

    fn limits(&self) -> Limits {
        self.settings.load().limits
    }

    /// Counts a datagram of a client.
    pub(crate) fn admit(&self, client: IpAddr) -> Allowance {
        let settings = self.settings.load();
        if settings.admits(client, &*self.gate) {
            self.clients.admit(client, &settings.limits)
        } else {
            self.clients.refuse()
        }
    }

    /// Counts a connection of a client; `None` if there are too many.
    pub(crate) fn connect(&self, client: IpAddr) -> Option<Turn> {
        let settings = self.settings.load();
        if settings.admits(client, &*self.gate) {
            self.clients.connect(client, &settings.limits)
        } else {
            self.clients.connect_refused(client)
        }
    }

    /// The response to a query, if it is in the cache and nothing has to be read or made.
    pub(crate) fn at_once(&self, request: &Request, client: IpAddr) -> Option<Vec<u8>> {
        if self.resolver.probes.take(&request.question) {
            return Some(request.empty(wire::NAME_ERROR));
        }
        // This host has some names below arpa, and others are reverse names of a prefix.
        if request.flags & wire::RECURSION_DESIRED == 0 || request.question.ends_in_arpa() {
            return None;
        }
        // The program is asked each time.
        if self.hook.as_ref().is_some_and(|hook| hook.covers_any(&request.message.queries)) {
            return None;
        }
        let settings = self.settings.load();
        if !settings.admits(client, &*self.gate) {
            return None;
        }
        let options = if self.gate.is_open() { settings.synthesis_for(client) } else { &settings.closed };
        let entry = self.cache.borrow_mut().get(&key_of(request, &request.question))?;
        if !entry.is_fresh() {
            return None;
        }
        let passes = request.question.kind != u16::from(RecordType::AAAA)
            || request.flags & wire::CHECKING_DISABLED != 0
            || options.prefixes.is_empty();
        let response = if passes {
            entry.answer(request)
        } else {
            let made = entry.made().filter(|made| made.holds(&settings, options))?;
            if !made.addresses.iter().all(|address| self.gate.permits(client, *address)) {
                return None;
            }
            self.counters.unusable.add_all(made.unusable);
            match &made.response {
                Some(response) => {
                    if !made.addresses.is_empty() {
                        self.counters.synthesised.add();
                    }
                    self.gate.gave(client, &made.name, &made.addresses, response.remaining());
                    response.answer(request)
                }
                None => entry.answer(request),
            }
        };
        self.counters.cached.add();
        Some(response)
    }

    /// The response to a query, of any length that TCP carries.
    pub(crate) async fn answer(&self, request: &Request, client: IpAddr) -> Vec<u8> {
        let settings = self.settings.load_full();
        if !settings.admits(client, &*self.gate) {
            return self.refuse(request, client, &settings.clients);
        }
        let options = if self.gate.is_open() { settings.synthesis_for(client) } else { &settings.closed };
        self.by_plan(request, client, &settings, options).await.unwrap_or_else(|Overload| {
            self.counters.overloaded.add();
            request.refused()
        })
    }

    async fn by_plan(
        &self,
        request: &Request,
        client: IpAddr,
        settings: &Arc<Settings>,
        options: &Options,
    ) -> Result<Vec<u8>, Overload> {
        let plan = plan(&request.message, options);
        if !matches!(plan, Plan::Answer(_))
            && let Some(response) = self.own(request, client, options).await?
        {
            return Ok(response);
        }
        match plan {
            Plan::Answer(response) => {
                self.counters.local.add();
                Ok(encode(request, &response))
            }
            Plan::Pass => self.pass(request, client).await,
            Plan::Synthesise => self.synthesise(request, client, settings, options).await,
            Plan::Reverse(question) => self.reverse(request, client, &question, options).await,
        }
    }

    /// The response by the program's answer; `None` if the upstreams are to answer.
    async fn own(
        &self,
        request: &Request,
        client: IpAddr,
        options: &Options,
    ) -> Result<Option<Vec<u8>>, Overload> {
        let Some(hook) = &self.hook else { return Ok(None) };
        let [question] = request.message.queries.as_slice() else { return Ok(None) };
        if !hook.covers(question.name()) {
            return Ok(None);
        }
        let turn = self.clients.wait(client, &self.limits()).ok_or(Overload)?;
        let answer = hook.ask(question, client).await;
        drop(turn);
        Ok(match answer {
            Ok(None) => None,
            Ok(Some(own)) => {
                self.counters.own.add();
                let permits = |address| self.gate.permits(client, address);
                let (made, withheld) = answer_own(&request.message, &own, options, permits);
                self.count(withheld);
                self.tell(client, &made, options);
                Some(encode(request, &made))
            }
            Err(Unanswered) => {
                self.counters.own_failures.add();
                Some(failed(request))
            }
        })
    }

    /// Refuses a query of a client outside these networks.
    fn refuse(&self, request: &Request, client: IpAddr, networks: &[Ipv6Prefix]) -> Vec<u8> {
        self.counters.refused.add();
        let mut told = self.told.borrow_mut();
        if told.as_deref() != Some(networks) {
            *told = Some(networks.to_vec());
            self.gate.warn_of(Fault::Refused(client));
        }
        request.refused()
    }

    async fn pass(&self, request: &Request, client: IpAddr) -> Result<Vec<u8>, Overload> {
        let entry = self.fetch(request, request.question.clone(), client).await?;
        Ok(entry.map_or_else(|| failed(request), |entry| entry.answer(request)))
    }

    async fn synthesise(
        &self,
        request: &Request,
        client: IpAddr,
        settings: &Arc<Settings>,
        options: &Options,
    ) -> Result<Vec<u8>, Overload> {
        let a_question = Question { kind: u16::from(RecordType::A), ..request.question.clone() };
        let aaaa = self.fetch(request, request.question.clone(), client);
        let (aaaa, mut a) = if self.was_missing(request, options) {
            let (aaaa, a) = join(aaaa, self.fetch(request, a_question.clone(), client)).await;
            (aaaa?, Some(a?))
        } else {
            (aaaa.await?, None)
        };
        let message = match &aaaa {
            None => failure(&request.message, ResponseCode::ServFail),
            Some(entry) => match entry.message() {
                Some(message) => message,
                // Records that cannot be read pass as they are.
                None => return Ok(entry.answer(request)),
            },
        };
        let wanted = wants_a(&request.message, &message, options);
        if wanted && a.is_none() {
            a = Some(self.fetch(request, a_question, client).await?);
        }
        let a = a.filter(|_| wanted);
        let a_message = a.as_ref().map(|entry| {
            let message = entry.as_ref().and_then(|entry| entry.message());
            message.unwrap_or_else(|| failure(&request.message, ResponseCode::ServFail))
        });
        let addresses = RefCell::new(Vec::new());
        let permits = |address| {
            let permits = self.gate.permits(client, address);
            if permits {
                addresses.borrow_mut().push(address);
            }
            permits
        };
        // The response may be kept for clients with EDNS, which get the extended error.
        let mut query = Message::clone(&request.message);
        query.edns.get_or_insert_with(Edns::new);
        let synthesis = synthesise(&query, &message, a_message.as_ref(), options, permits);
        let withheld = synthesis.withheld;
        self.count(withheld);
        let response = match synthesis.response {
            Cow::Borrowed(_) => None,
            Cow::Owned(made) => {
                if !addresses.borrow().is_empty() {
                    self.counters.synthesised.add();
                }
                self.tell(client, &made, options);
                let octets = made.to_vec().ok();
                let Some(made) = octets.and_then(|octets| Entry::read(octets, &request.question)) else {
                    return Ok(failed(request));
                };
                Some(made)
            }
        };
        let Some(aaaa) = aaaa else {
            return Ok(response.map_or_else(|| failed(request), |made| made.answer(request)));
        };
        let answer = response.as_ref().unwrap_or(&aaaa).answer(request);
        // Without an A response it depends on the AAAA response alone.
        let until = a.map_or(Some(aaaa.until()), |a| a.map(|a| a.until()));
        if let Some(until) = until.filter(|_| withheld.denied == 0) {
            let (addresses, prefixes) = (addresses.into_inner(), options.prefixes.clone());
            let name = request.message.queries.first().map(|query| text_of(query.name())).unwrap_or_default();
            let settings = Arc::clone(settings);
            let unusable = withheld.unusable;
            let made = Made { response, name: name.into(), addresses, unusable, until, settings, prefixes };
            self.cache.borrow_mut().keep(&key_of(request, &request.question), made);
        }
        Ok(answer)
    }

    fn count(&self, withheld: Withheld) {
        self.counters.denied.add_all(withheld.denied);
        self.counters.unusable.add_all(withheld.unusable);
    }

    /// Tells the gate of the addresses in the prefixes that a client gets.
    fn tell(&self, client: IpAddr, made: &Message, options: &Options) {
        let Some(question) = made.queries.first() else { return };
        let is_captured = |address: &Ipv6Addr| options.prefixes.iter().any(|prefix| prefix.contains(address));
        let records = made.answers.iter().filter_map(|record| match &record.data {
            RData::AAAA(address) if is_captured(&address.0) => Some((address.0, record.ttl)),
            _ => None,
        });
        let (addresses, ttls): (Vec<Ipv6Addr>, Vec<u32>) = records.unzip();
        if let Some(ttl) = ttls.into_iter().min() {
            self.gate.gave(client, &text_of(question.name()), &addresses, ttl);
        }
    }

    async fn reverse(
        &self,
        request: &Request,
        client: IpAddr,
        question: &Query,
        options: &Options,
    ) -> Result<Vec<u8>, Overload> {
        let Ok(name) = question.name().to_bytes() else { return Ok(failed(request)) };
        let asked = Question { name, ..request.question.clone() };
        let entry = self.fetch(request, asked, client).await?;
        let message = entry.and_then(|entry| entry.message());
        let message = message.unwrap_or_else(|| failure(&request.message, ResponseCode::ServFail));
        self.counters.synthesised.add();
        Ok(encode(request, &reverse(&request.message, &message, options)))
    }

    /// Returns true if the upstream's last response to this AAAA query, expired by now, had no usable record.
    fn was_missing(&self, request: &Request, options: &Options) -> bool {
        let key = key_of(request, &request.question);
        let last = self.cache.borrow_mut().get(&key).filter(|entry| !entry.is_fresh());
        let message = last.and_then(|entry| entry.message());
        message.is_some_and(|message| wants_a(&request.message, &message, options))
    }

    /// The response of the cache or of an upstream; `None` if no upstream answered.
    async fn fetch(
        &self,
        request: &Request,
        question: Question,
        client: IpAddr,
    ) -> Result<Option<Rc<Entry>>, Overload> {
        let key = key_of(request, &question);
        // A client that clears RD asks what the upstream knows now.
        let recursive = request.flags & wire::RECURSION_DESIRED != 0;
        if recursive && let Some(entry) = self.cache.borrow_mut().get(&key).filter(|entry| entry.is_fresh()) {
            self.counters.cached.add();
            return Ok(Some(entry));
        }
        let _turn = self.clients.wait(client, &self.limits()).ok_or(Overload)?;
        let ask = Ask {
            question,
            flags: request.flags & (wire::RECURSION_DESIRED | wire::CHECKING_DISABLED),
            dnssec_ok: request.edns.is_some_and(|edns| edns.dnssec_ok),
        };
        let place = (key, recursive);
        let underway = self.underway.borrow().get(&place).cloned();
        let response = match underway {
            Some((response, company)) => {
                company.join();
                response
            }
            None => self.begin(place, ask),
        };
        Ok(response.await)
    }

    /// Begins a query to the upstream. It goes on without the client that caused it, for those that come later.
    fn begin(&self, place: (Key, bool), ask: Ask) -> Response {
        let (resolver, cache) = (Rc::clone(&self.resolver), Rc::clone(&self.cache));
        // The table holds the future, so the future must not hold the table.
        let underway = Rc::downgrade(&self.underway);
        let (company, companies) = (self.companies.enter(&ask.question), Rc::clone(&self.companies));
        let (end, known) = (place.clone(), Rc::clone(&company));
        let asked = async move {
            let entry = resolver.ask(&ask, &known).await;
            companies.leave(&ask.question);
            let (key, recursive) = &end;
            if let Some(entry) = &entry
                && *recursive
            {
                cache.borrow_mut().insert(key.clone(), Rc::clone(entry));
            }
            if let Some(underway) = underway.upgrade() {
                underway.borrow_mut().remove(&end);
            }
            entry
        };
        let response = asked.boxed_local().shared();
        self.underway.borrow_mut().insert(place, (response.clone(), company));
        tokio::task::spawn_local(response.clone());
        response
    }
}

fn key_of(request: &Request, question: &Question) -> Key {
    Key::new(question, request.flags, request.edns.is_some_and(|edns| edns.dnssec_ok))
}

/// The response that says SERVFAIL.
fn failed(request: &Request) -> Vec<u8> {
    request.empty(u16::from(ResponseCode::ServFail))
}

fn encode(request: &Request, response: &Message) -> Vec<u8> {
    response.to_vec().unwrap_or_else(|_| failed(request))
}
