//! The list of methods in the answer to a login, and which of them the user wants.

use super::parameter;
use crate::environment::Environment;

/// A method as the server names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) name: String,
    /// What the server says to the method: a service's name, versions, limits.
    pub(crate) arguments: String,
}

/// What the server accepts, and what of it to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    /// To be tried in this order. Names that are not known are among them, for the message when nothing was accepted.
    pub(crate) methods: Vec<Offer>,
    /// The names of those that the user does not want.
    pub(crate) unwanted: Vec<String>,
    /// Where the user said so: a variable or a parameter, with its value.
    pub(crate) choice: Option<String>,
}

/// Reads a list such as `&P=krb5,xrootd/eos@REALM&P=unix`. The user chooses among them, and their order, with the
/// parameter `xrd.wantprot` in the opaque part of the URL, or else with the variable `XrdSecPROTOCOL`: names separated
/// by commas.
pub(crate) fn offered(list: &str, opaque: &str) -> Offered {
    offered_in(&Environment::of_process(), list, opaque)
}

fn offered_in(environment: &Environment, list: &str, opaque: &str) -> Offered {
    let methods = offers(list);
    let (wanted, choice) = match (parameter(opaque, "xrd.wantprot"), environment.text("XrdSecPROTOCOL")) {
        (Some(wanted), _) => (wanted.to_owned(), format!("xrd.wantprot={wanted}")),
        (None, Some(wanted)) => (wanted.clone(), format!("XrdSecPROTOCOL={wanted}")),
        (None, None) => return Offered { methods: methods.collect(), unwanted: Vec::new(), choice: None },
    };
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let rank = |offer: &Offer| wanted.iter().position(|name| *name == offer.name);
    let (mut methods, unwanted): (Vec<Offer>, Vec<Offer>) = methods.partition(|offer| rank(offer).is_some());
    methods.sort_by_key(rank);
    Offered { methods, unwanted: unwanted.into_iter().map(|offer| offer.name).collect(), choice: Some(choice) }
}

fn offers(list: &str) -> impl Iterator<Item = Offer> {
    list.trim_end_matches('\0').split("&P=").skip(1).filter_map(|entry| {
        let (name, arguments) = entry.split_once(',').unwrap_or((entry, ""));
        let offer = Offer { name: name.trim().to_owned(), arguments: arguments.trim().to_owned() };
        (!offer.name.is_empty()).then_some(offer)
    })
}

/// The names of the methods of a list, for messages.
pub(crate) fn names(list: &str) -> String {
    let names: Vec<String> = offers(list).map(|offer| offer.name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const EOS: &str = "&P=krb5,xrootd/eoscms.cern.ch@CERN.CH&P=gsi,v:10600,c:ssl,ca:c368b2c2.0&P=sss,0.+13:&P=unix\0";

    fn names(offered: &Offered) -> Vec<&str> {
        offered.methods.iter().map(|offer| offer.name.as_str()).collect()
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::with(variables, 1000, Path::new("/tmp"))
    }

    #[test]
    fn the_order_and_the_arguments_are_those_of_the_server() {
        let offered = offered_in(&environment(&[]), EOS, "eos.app=x");
        assert_eq!(names(&offered), ["krb5", "gsi", "sss", "unix"]);
        let arguments: Vec<&str> = offered.methods.iter().map(|offer| offer.arguments.as_str()).collect();
        assert_eq!(arguments, ["xrootd/eoscms.cern.ch@CERN.CH", "v:10600,c:ssl,ca:c368b2c2.0", "0.+13:", ""]);
        assert_eq!((offered.unwanted.len(), offered.choice), (0, None));
    }

    #[test]
    fn the_variable_chooses_and_orders() {
        let offered = offered_in(&environment(&[("XrdSecPROTOCOL", "unix, krb5")]), EOS, "");
        assert_eq!(names(&offered), ["unix", "krb5"]);
        assert_eq!(offered.unwanted, ["gsi", "sss"]);
        assert_eq!(offered.choice.as_deref(), Some("XrdSecPROTOCOL=unix, krb5"));
    }

    #[test]
    fn the_url_goes_before_the_variable() {
        let offered = offered_in(&environment(&[("XrdSecPROTOCOL", "krb5")]), EOS, "a=b&xrd.wantprot=sss,unix");
        assert_eq!(names(&offered), ["sss", "unix"]);
        assert_eq!(offered.choice.as_deref(), Some("xrd.wantprot=sss,unix"));
    }

    #[test]
    fn nothing_is_left_when_the_choice_and_the_offer_have_nothing_in_common() {
        let offered = offered_in(&environment(&[("XrdSecPROTOCOL", "ztn")]), EOS, "");
        assert!(offered.methods.is_empty());
        assert_eq!(offered.unwanted, ["krb5", "gsi", "sss", "unix"]);
    }

    #[test]
    fn unknown_methods_are_kept() {
        assert_eq!(names(&offered_in(&environment(&[]), "&P=pwd,v:1&P=&P=host", "")), ["pwd", "host"]);
    }

    #[test]
    fn the_names_are_those_of_the_whole_list() {
        assert_eq!(super::names(EOS), "krb5, gsi, sss, unix");
    }

    #[test]
    fn an_empty_list_offers_nothing() {
        assert!(offered_in(&environment(&[]), "", "").methods.is_empty());
    }
}
