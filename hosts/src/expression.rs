//! Set algebra over names: `@web,db[1-4]!db2`, read from left to right without precedence.

use crate::error::NodeSetError;
use crate::names::Operator;
use crate::pattern::shortened;

/// How bare words and colons are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As in ClusterShell.
    NodeSet,
    /// `a:b`, `a:&b` and `a:!b` too, as in Ansible's patterns.
    Ansible,
}

/// An operand, and how it is put to what stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term<'a> {
    /// `None` for the first one.
    pub(crate) operator: Option<Operator>,
    pub(crate) operand: &'a str,
}

/// Divides an expression into its terms. Blanks join as commas do; a comma before another operator
/// says nothing of its own (`web,!web3`).
///
/// # Errors
/// An operator has nothing behind it.
pub(crate) fn terms(text: &str, manner: Manner) -> Result<Vec<Term<'_>>, NodeSetError> {
    let mut terms: Vec<Term<'_>> = Vec::new();
    let mut operator: Option<Operator> = None;
    let mut rest = text;
    loop {
        let blank = rest.trim_start();
        if blank.len() < rest.len() && operator.is_none() && !terms.is_empty() {
            operator = Some(Operator::Union);
        }
        rest = blank;
        let Some(c) = rest.chars().next() else { break };
        if let Some((found, length)) = operator_at(rest, c, manner) {
            match operator {
                Some(before) if before != Operator::Union => return Err(missing(text, before)),
                _ => operator = Some(found),
            }
            rest = &rest[length..];
            continue;
        }
        let length = operand_length(rest, manner);
        terms.push(Term {
            operator,
            operand: &rest[..length],
        });
        operator = None;
        rest = &rest[length..];
    }
    match operator {
        Some(last) if last != Operator::Union => Err(missing(text, last)),
        _ => Ok(terms),
    }
}

fn missing(text: &str, operator: Operator) -> NodeSetError {
    NodeSetError::MissingOperand {
        text: shortened(text),
        operator: operator.as_char(),
    }
}

/// Returns the operator that a text begins with, and its length.
fn operator_at(text: &str, c: char, manner: Manner) -> Option<(Operator, usize)> {
    if manner == Manner::Ansible && c == ':' {
        if is_address(word(text)) {
            return None;
        }
        let next = text[1..].chars().next();
        let joined = next.filter(|next| matches!(next, '&' | '!'));
        return match joined.and_then(Operator::of) {
            Some(operator) => Some((operator, 2)),
            None => Some((Operator::Union, 1)),
        };
    }
    Operator::of(c).map(|operator| (operator, 1))
}

/// Returns where the operand that a text begins with ends. Operators in brackets are none.
fn operand_length(text: &str, manner: Manner) -> usize {
    let mut depth = 0_usize;
    let is_address = is_address(word(text));
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ':' if manner == Manner::Ansible && depth == 0 && at > 0 && !is_address => {
                // Digits behind a colon are a port.
                let behind = text[at + 1..].split(|c| is_end(c) || c == ':').next();
                let is_port = behind.is_some_and(|port| {
                    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
                });
                if !is_port && !text.starts_with('@') {
                    return at;
                }
            }
            c if depth == 0 && is_end(c) => return at,
            _ => {}
        }
    }
    text.len()
}

fn is_end(c: char) -> bool {
    c.is_whitespace() || Operator::of(c).is_some()
}

/// Returns what stands before the first blank or operator.
fn word(text: &str) -> &str {
    &text[..text.find(is_end).unwrap_or(text.len())]
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, manner: Manner, expected: &str) {
        let terms = terms(text, manner).unwrap_or_else(|error| panic!("{text}: {error}"));
        let sign = |operator: Option<Operator>| operator.map_or('=', Operator::as_char);
        let terms = terms
            .iter()
            .map(|term| format!("{}{}", sign(term.operator), term.operand));
        assert_eq!(terms.collect::<Vec<_>>().join(" "), expected, "{text}");
    }

    #[test]
    fn terms_are_divided_outside_of_brackets() {
        let node_set = Manner::NodeSet;
        check("", node_set, "");
        check("a", node_set, "=a");
        check("a[1,2],b!c&d^e", node_set, "=a[1,2] ,b !c &d ^e");
        check(" a  b , c ", node_set, "=a ,b ,c");
        check("a & b", node_set, "=a &b");
        check("a,!b", node_set, "=a !b");
        check("@x:y,[::1]:22", node_set, "=@x:y ,[::1]:22");
        check("!a", node_set, "!a");
        check("a,", node_set, "=a");
    }

    #[test]
    fn colons_join_as_in_ansible() {
        let ansible = Manner::Ansible;
        check("web:db", ansible, "=web ,db");
        check("web:&prod:!web3", ansible, "=web &prod !web3");
        check("web1:2222", ansible, "=web1:2222");
        check("2001:db8::1,x", ansible, "=2001:db8::1 ,x");
        check("@s:g:x", ansible, "=@s:g:x");
        check("!web3", ansible, "!web3");
    }

    #[test]
    fn an_operator_without_an_operand_is_refused() {
        for text in ["a!", "a!!b", "a&,b", "^"] {
            let error = terms(text, Manner::NodeSet).expect_err(text);
            assert!(
                matches!(error, NodeSetError::MissingOperand { .. }),
                "{error}"
            );
        }
    }
}
