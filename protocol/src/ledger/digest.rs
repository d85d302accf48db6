//! One hash over heads.
