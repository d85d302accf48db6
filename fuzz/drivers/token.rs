//! Any text is a token or an error that names a place; what parses is written as it was read.

use regatta_protocol::trust::invite::token::Token;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Token::parse(text) {
        Ok(token) => {
            let written = token.to_text();
            let again = Token::parse(&written).expect("what was written parses");
            assert_eq!(again.to_text(), written);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
