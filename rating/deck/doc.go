// Package deck turns rate decks into lookups: the longest prefix of a number
// whose row is in force at an instant (Table), and reads and writes decks as
// CSV.
//
// A Table is an immutable digit trie in two slices. It is built once per
// version of a deck; a lookup walks at most 15 nodes and does not allocate.
package deck
