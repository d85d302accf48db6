//! Any text is a selector or a pointed error; what is a selector reads back from what it shows.

use regatta_protocol::codec::Name;
use regatta_protocol::selector::{Labels, Selector};

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Selector::parse(text) {
        Ok(selector) => {
            assert_eq!(Selector::parse(&selector.to_string()), Ok(selector.clone()));
            assert!(selector.implies(&selector));
            let labels = Name::new("osaka").map(|name| Labels::none().with_name(&name));
            let _ = selector.matches(&labels.unwrap_or_default());
        }
        Err(error) => {
            assert!(error.at() <= text.chars().count() + 1);
            assert!(error.pointed(text).ends_with('^'));
        }
    }
}
