//! An invite as one text that can be typed, mailed, or shown as a QR code.

use std::fmt;

use data_encoding::{BASE32_NOPAD, DecodeKind};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::clock::utc::Utc;
use crate::codec::{self, DecodeError, Wire};
use crate::crypto::sign::{SecretKey, Sign};
use crate::ident::{FleetId, Hash};
use crate::machine::Millis;
use crate::trust::certificate::SignedCertificate;
use crate::trust::invite::{InviteTerms, SignedInvite};

/// What every token begins with; the digit is the version of the rest.
const PREFIX: &str = "regatta1-";
/// Bytes of a hash at the end, against mistyping.
const CHECK_BYTES: usize = 5;

/// The secret half of an invite's one-time key; wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeSecret([u8; 32]);

impl fmt::Debug for OneTimeSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("OneTimeSecret")
    }
}

impl Drop for OneTimeSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// All that somebody needs in order to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What was signed.
    pub invite: SignedInvite,
    /// Signs the use.
    pub secret: OneTimeSecret,
    /// Where managers can be reached, in the words of the network.
    pub addresses: Vec<String>,
    /// The certificate of the manager that signed; none where the root did.
    pub issuer: Option<SignedCertificate>,
}

impl Wire for Token {
    const VERSION: u8 = 1;
    /// With its prefix it still fits a QR code: 4296 characters.
    const BYTES_MAX: usize = 2600;
    const WHAT: &'static str = "invite token";
}

/// Why a text is no token, or a token cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It begins with something else.
    #[error("an invite token begins with '{PREFIX}', this begins with '{found}'")]
    Prefix {
        /// What it begins with.
        found: String,
    },
    /// A character that no token has.
    #[error(
        "invite token: character {position} is {found:?}; after '{PREFIX}' there are \
         letters A to Z and digits 2 to 7{hint}"
    )]
    Character {
        /// Counted from 1, spaces too.
        position: usize,
        /// The character.
        found: char,
        /// What it may have been, for people.
        hint: &'static str,
    },
    /// Not a length that a token can have.
    #[error("invite token: it ends at character {position}, in the middle; copy it to its end")]
    Cut {
        /// Its last character.
        position: usize,
    },
    /// Its characters are all allowed and do not belong together.
    #[error(
        "invite token: its checksum is wrong, so a character is missing or mistyped \
         between 10 and {last}; copy it again"
    )]
    Checksum {
        /// Its last character.
        last: usize,
    },
    /// It is whole and of another build.
    #[error(transparent)]
    Content(#[from] DecodeError),
    /// Its secret is not that of the invite in it.
    #[error("invite token: its secret does not belong to its invite; make a new one")]
    Secret,
    /// Too late.
    #[error("invite token: it expired at {}; ask for a new one", Utc(*not_after))]
    Expired {
        /// The last moment that it was good.
        not_after: Millis,
    },
    /// Too much in it.
    #[error(
        "invite token: {bytes} bytes, at most {} fit; give it fewer addresses or labels",
        Token::BYTES_MAX
    )]
    TooLong {
        /// How many.
        bytes: usize,
    },
}

impl Token {
    /// Puts a token together.
    ///
    /// # Errors
    /// When it would be longer than a QR code holds.
    pub fn new(
        invite: SignedInvite,
        secret: &SecretKey,
        addresses: Vec<String>,
        issuer: Option<SignedCertificate>,
    ) -> Result<Self, TokenError> {
        let secret = OneTimeSecret(*secret.to_bytes());
        let token = Self {
            invite,
            secret,
            addresses,
            issuer,
        };
        if codec::fits(&token) {
            return Ok(token);
        }
        let bytes = codec::encoded_len(&token);
        Err(TokenError::TooLong { bytes })
    }

    /// The text, in capitals: every character has a place in a QR code's dense alphabet.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(codec::encode(self));
        let check = Hash::of(&bytes);
        bytes.extend_from_slice(&check.0[..CHECK_BYTES]);
        let mut text = Zeroizing::new(PREFIX.to_ascii_uppercase());
        BASE32_NOPAD.encode_append(&bytes, &mut text);
        text
    }

    /// Reads a text; small letters and white space between do not matter.
    ///
    /// # Errors
    /// Where it went wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let typed: Zeroizing<Vec<(usize, char)>> = Zeroizing::new(
            text.chars()
                .enumerate()
                .filter(|(_, letter)| !letter.is_whitespace())
                .map(|(index, letter)| (index + 1, letter.to_ascii_uppercase()))
                .collect(),
        );
        let prefix = PREFIX.chars().map(|letter| letter.to_ascii_uppercase());
        if !prefix
            .clone()
            .eq(typed.iter().take(PREFIX.len()).map(|(_, letter)| *letter))
        {
            let found = typed.iter().take(PREFIX.len()).map(|(_, letter)| *letter);
            return Err(TokenError::Prefix {
                found: found.collect(),
            });
        }
        let typed = &typed[PREFIX.len()..];
        let last = typed.last().map_or(PREFIX.len(), |(position, _)| *position);
        let is_digit = |letter: char| letter.is_ascii_uppercase() || ('2'..='7').contains(&letter);
        if let Some((position, found)) = typed.iter().find(|(_, letter)| !is_digit(*letter)) {
            return Err(TokenError::Character {
                position: *position,
                found: *found,
                hint: hint(*found),
            });
        }
        let text: Zeroizing<String> =
            Zeroizing::new(typed.iter().map(|(_, letter)| *letter).collect());
        let bytes = match BASE32_NOPAD.decode(text.as_bytes()) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind == DecodeKind::Length => {
                return Err(TokenError::Cut { position: last });
            }
            Err(_) => return Err(TokenError::Checksum { last }),
        };
        let Some((content, check)) = bytes.split_last_chunk::<CHECK_BYTES>() else {
            return Err(TokenError::Cut { position: last });
        };
        if Hash::of(content).0[..CHECK_BYTES] != check[..] {
            return Err(TokenError::Checksum { last });
        }
        let token: Self = codec::decode(content)?;
        let terms = token.terms()?;
        if token.signer().public() != terms.key {
            return Err(TokenError::Secret);
        }
        Ok(token)
    }

    /// What the invite in it says.
    ///
    /// # Errors
    /// When it is none that this build reads.
    pub fn terms(&self) -> Result<InviteTerms, DecodeError> {
        self.invite.decode()
    }

    /// The fleet that is joined, to pin.
    ///
    /// # Errors
    /// When the invite is none that this build reads, or it is too late to use it.
    pub fn pinned(&self, now: Millis) -> Result<FleetId, TokenError> {
        let terms = self.terms()?;
        if now > terms.not_after {
            let not_after = terms.not_after;
            return Err(TokenError::Expired { not_after });
        }
        Ok(terms.fleet)
    }

    /// Signs with the one-time key.
    #[must_use]
    pub fn signer(&self) -> SecretKey {
        SecretKey::from_bytes(&self.secret.0)
    }
}

fn hint(found: char) -> &'static str {
    match found {
        '0' => "; it may be the letter O",
        '1' => "; it may be the letter I or L",
        '8' => "; it may be the letter B",
        '9' => "; it may be the letter G",
        _ => "",
    }
}
