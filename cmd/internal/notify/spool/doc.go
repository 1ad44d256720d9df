// Package spool keeps records in a file so that a kill -9 at any byte, a full
// disk or a flipped bit costs at most the record it hit.
//
// A file is a list of lines, each the CRC-32C of a record in eight hex
// digits, a space, and the record itself, which holds no line feed. Lines are
// only appended; Rewrite replaces the whole file by a shorter one with the
// same meaning. What Append returned nil for has been synced to the disk.
//
// Reading skips a line whose sum is wrong and goes on behind the next line
// feed, so that damage in the middle does not take the rest with it. A tail
// without a line feed is a write that a kill cut off: nobody was told that it
// was kept, and it is removed.
package spool
