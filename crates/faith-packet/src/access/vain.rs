//! Rules that never decide, because an earlier one decides every connection that they match.

use super::{AccessList, Action, Rule, special};

/// Rules that are looked at: each is compared with each before it.
const MOST: usize = 10_000;

impl AccessList {
    /// Finds rules that never decide. Gives the place of each, and of the earlier rule that decides instead. Rules that
    /// only several others together cover are not found, and neither are those past the first ten thousand.
    ///
    /// ```
    /// # use faith_packet::access::AccessList;
    /// let list = AccessList::parse("::/0 permit 0.0.0.0/0\n::/0 deny 8.8.8.0/24\n", "faithd.conf")?;
    /// assert_eq!(list.vain(), [(1, 0)]);
    /// # Ok::<(), faith_packet::access::AccessListErrors>(())
    /// ```
    #[must_use]
    pub fn vain(&self) -> Vec<(usize, usize)> {
        let rules = &self.rules[..self.rules.len().min(MOST)];
        let by = |(place, rule)| rules[..place].iter().position(|earlier| covers(earlier, rule));
        rules.iter().enumerate().filter_map(|(place, rule)| Some((place, by((place, rule))?))).collect()
    }

    /// Tells if there are rules and none of them can permit anything.
    #[must_use]
    pub fn permits_nothing(&self) -> bool {
        let vain = self.vain();
        let decides = |place| vain.binary_search_by_key(&place, |(vain, _)| *vain).is_err();
        let permits = |(place, rule): (usize, &Rule)| rule.action != Action::Deny && decides(place);
        !self.rules.is_empty() && !self.rules.iter().enumerate().any(permits)
    }
}

/// Returns true if a rule decides every connection that a later one matches.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    earlier.source.length() <= later.source.length()
        && earlier.source.contains(later.source.address())
        && earlier.destination.length() <= later.destination.length()
        && earlier.destination.contains(later.destination.address())
        && earlier.protocol.is_none_or(|only| later.protocol == Some(only))
        && covers_ports(earlier, later)
        && (earlier.action == Action::Deny || opens_as_much(earlier, later))
}

fn covers_ports(earlier: &Rule, later: &Rule) -> bool {
    let Some(ports) = &earlier.ports else { return true };
    let Some(wanted) = &later.ports else { return ports.ranges() == [1..=u16::MAX] };
    let inside = |range: &std::ops::RangeInclusive<u16>| {
        ports.ranges().iter().any(|wide| wide.start() <= range.start() && range.end() <= wide.end())
    };
    wanted.ranges().iter().all(inside)
}

/// Returns true if a permit rule applies to every address of a later one's destination: it opens special-purpose blocks and
/// the router's own addresses only if it names the block, or a part of it, or that very address.
fn opens_as_much(earlier: &Rule, later: &Rule) -> bool {
    let (wide, narrow) = (earlier.destination.length(), later.destination.length());
    let block = special::block_length(later.destination.address()).filter(|length| narrow >= *length);
    let own = (narrow == 32 && later.action != Action::Deny).then_some(32);
    block.is_none_or(|length| wide >= length) && own.is_none_or(|length| wide >= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rules: &[&str]) -> AccessList {
        AccessList::parse(&rules.join("\n"), "list").unwrap()
    }

    #[test]
    fn a_rule_behind_a_wider_one_never_decides() {
        for (wide, narrow) in [
            ("::/0 permit 0.0.0.0/0", "::/0 deny 8.8.8.0/24"),
            ("::/0 permit 0.0.0.0/0", "2001:db8::/32 permit 8.8.8.0/24 port 80"),
            ("::/0 deny 0.0.0.0/0", "::/0 permit 10.0.0.0/8"),
            ("::/0 permit 10.0.0.0/8", "::/0 deny 10.1.0.0/16"),
            ("::/0 deny 8.8.8.0/24 port 20-30", "::/0 permit 8.8.8.8 port 22,25"),
            ("::/0 permit 8.8.8.0/24", "::/0 permit 8.8.8.0/24"),
            ("::/0 permit 8.8.8.0/24", "::/0 deny 8.8.8.0/24 udp"),
            ("::/0 permit 8.8.8.0/24 udp", "::/0 deny 8.8.8.0/24 udp port 53"),
        ] {
            assert_eq!(list(&[wide, narrow]).vain(), [(1, 0)], "{wide}, {narrow}");
        }
    }

    #[test]
    fn a_rule_that_matches_more_or_opens_what_is_closed_decides() {
        for (earlier, later) in [
            ("::/0 deny 8.8.8.0/24", "::/0 permit 0.0.0.0/0"),
            ("2001:db8::/32 permit 0.0.0.0/0", "::/0 deny 8.8.8.0/24"),
            ("::/0 permit 0.0.0.0/0 port 80", "::/0 deny 8.8.8.0/24"),
            ("::/0 permit 0.0.0.0/0", "::/0 permit 10.0.0.0/8"),
            ("::/0 permit 0.0.0.0/0", "::/0 permit 93.184.216.34"),
            ("::/0 deny 8.8.8.0/24 port 20-30", "::/0 permit 8.8.8.8 port 22,80"),
            ("::/0 deny 8.8.8.0/24 udp", "::/0 permit 8.8.8.8"),
            ("::/0 deny 8.8.8.0/24 udp", "::/0 permit 8.8.8.8 tcp"),
        ] {
            assert_eq!(list(&[earlier, later]).vain(), [], "{earlier}, {later}");
        }
    }

    #[test]
    fn a_list_permits_nothing_when_no_rule_that_permits_decides() {
        assert!(!list(&[]).permits_nothing());
        assert!(!list(&["::/0 permit 10.0.0.0/8"]).permits_nothing());
        assert!(list(&["::/0 deny 10.0.0.0/8"]).permits_nothing());
        assert!(list(&["::/0 deny 0.0.0.0/0", "::/0 permit 10.0.0.0/8"]).permits_nothing());
    }
}
