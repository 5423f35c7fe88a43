/* Points as a payload has them: MessagePack (protocol §6), with sketches in protobuf (§7). `delivery/points.py` says what
 * is written, and writes the same.
 */
#ifndef ASYNCDSM_SKETCH_H
#define ASYNCDSM_SKETCH_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bins.h"

#define MOST_SKETCH_BINS 2048

typedef struct {
    uint8_t *bytes;
    size_t used, capacity;
} Buffer;

typedef struct {
    uint64_t hash, parent;
    const char *tags; /* MessagePack */
    size_t tags_bytes;
    const Bins *bins;
} Row;

/* Set from `core/histogram.py`. */
static double SKETCH_GAMMA;

/* Returns 0 if there is no memory. */
static int buffer_reserve(Buffer *buffer, size_t more)
{
    if (buffer->used + more <= buffer->capacity)
        return 1;
    size_t capacity = 2 * (buffer->used + more);
    uint8_t *bytes = realloc(buffer->bytes, capacity);
    if (!bytes)
        return 0;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return 1;
}

static inline void put_bytes(Buffer *buffer, const void *bytes, size_t count)
{
    memcpy(buffer->bytes + buffer->used, bytes, count);
    buffer->used += count;
}

static inline void put_byte(Buffer *buffer, uint8_t byte)
{
    buffer->bytes[buffer->used++] = byte;
}

static inline void put_big_endian(Buffer *buffer, uint64_t value, int bytes)
{
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        put_byte(buffer, (uint8_t)(value >> shift));
}

static inline void put_double(Buffer *buffer, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int shift = 0; shift < 64; shift += 8)
        put_byte(buffer, (uint8_t)(bits >> shift));
}

static inline size_t varint_bytes(uint64_t value)
{
    size_t count = 1;
    while (value >>= 7)
        count++;
    return count;
}

static inline void put_varint(Buffer *buffer, uint64_t value)
{
    for (; value > 127; value >>= 7)
        put_byte(buffer, (uint8_t)((value & 127) | 128));
    put_byte(buffer, (uint8_t)value);
}

/* MessagePack writes a number in as few bytes as it takes. */
static inline void put_number(Buffer *buffer, uint64_t value)
{
    if (value < 128)
        return put_byte(buffer, (uint8_t)value);
    int bytes = value < 1 << 8 ? 1 : value < 1 << 16 ? 2 : value <= UINT32_MAX ? 4 : 8;
    put_byte(buffer, bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf);
    put_big_endian(buffer, value, bytes);
}

static inline void put_name(Buffer *buffer, const char *name)
{
    size_t length = strlen(name);
    put_byte(buffer, (uint8_t)(0xa0 | length));
    put_bytes(buffer, name, length);
}

static inline void put_binary_head(Buffer *buffer, size_t length)
{
    int bytes = length < 1 << 8 ? 1 : length < 1 << 16 ? 2 : 4;
    put_byte(buffer, bytes == 1 ? 0xc4 : bytes == 2 ? 0xc5 : 0xc6);
    put_big_endian(buffer, length, bytes);
}

/* Writes one histogram of a point as a DDSketch. If the bins span more than 2048, the lowest ones are merged. */
static int put_sketch(Buffer *buffer, const Bins *bins, uint32_t histogram)
{
    double counts[MOST_SKETCH_BINS] = {0}, zeros = 0;
    int32_t lowest = INT32_MAX, highest = -1;
    for (uint32_t i = 0; i < bins->capacity; i++) {
        int32_t bin = (int32_t)(bins->bins[i].key & ((1 << BIN_BITS) - 1));
        if (!bins->bins[i].count || bins->bins[i].key >> BIN_BITS != histogram || bin == ZERO_BIN)
            continue;
        lowest = bin < lowest ? bin : lowest;
        highest = bin > highest ? bin : highest;
    }
    if (highest < 0)
        lowest = 0;
    else if (lowest <= highest - MOST_SKETCH_BINS)
        lowest = highest - MOST_SKETCH_BINS + 1;
    for (uint32_t i = 0; i < bins->capacity; i++) {
        int32_t bin = (int32_t)(bins->bins[i].key & ((1 << BIN_BITS) - 1));
        if (!bins->bins[i].count || bins->bins[i].key >> BIN_BITS != histogram)
            continue;
        if (bin == ZERO_BIN)
            zeros = bins->bins[i].count;
        else
            counts[bin > lowest ? bin - lowest : 0] += bins->bins[i].count;
    }
    size_t doubles = highest < 0 ? 0 : (size_t)(highest - lowest + 1) * 8;
    size_t store = doubles ? 1 + varint_bytes(doubles) + doubles : 0;
    store += lowest ? 1 + varint_bytes(2 * (uint64_t)lowest) : 0;
    size_t whole = 2 + 18 + 1 + varint_bytes(store) + store + 2 + (zeros > 0 ? 9 : 0);
    if (!buffer_reserve(buffer, whole + 5))
        return 0;
    put_binary_head(buffer, whole);
    put_bytes(buffer, "\x0a\x12\x09", 3); /* mapping: gamma, index offset */
    put_double(buffer, SKETCH_GAMMA);
    put_byte(buffer, 0x11);
    put_double(buffer, BIN_OFFSET);
    put_byte(buffer, 0x12); /* positive values: counts, index of the first */
    put_varint(buffer, store);
    if (doubles) {
        put_byte(buffer, 0x12);
        put_varint(buffer, doubles);
        for (size_t i = 0; i < doubles / 8; i++)
            put_double(buffer, counts[i]);
    }
    if (lowest) {
        put_byte(buffer, 0x18);
        put_varint(buffer, 2 * (uint64_t)lowest);
    }
    put_bytes(buffer, "\x1a\x00", 2); /* negative values: none */
    if (zeros > 0) {
        put_byte(buffer, 0x21);
        put_double(buffer, zeros);
    }
    return 1;
}

/* Writes a point. Returns 0 if there is no memory. */
static int put_row(Buffer *buffer, const Row *row)
{
    if (!buffer_reserve(buffer, 128 + row->tags_bytes))
        return 0;
    put_byte(buffer, 0x86); /* a map of six */
    put_name(buffer, "Hash");
    put_number(buffer, row->hash);
    put_name(buffer, "ParentHash");
    put_number(buffer, row->parent);
    put_name(buffer, "PathwayLatency");
    if (!put_sketch(buffer, row->bins, PATHWAY_LATENCY) || !buffer_reserve(buffer, 64))
        return 0;
    put_name(buffer, "EdgeLatency");
    if (!put_sketch(buffer, row->bins, EDGE_LATENCY) || !buffer_reserve(buffer, 64))
        return 0;
    put_name(buffer, "PayloadSize");
    if (!put_sketch(buffer, row->bins, PAYLOAD_SIZE) || !buffer_reserve(buffer, 64 + row->tags_bytes))
        return 0;
    put_name(buffer, "EdgeTags");
    put_bytes(buffer, row->tags, row->tags_bytes);
    return 1;
}

#endif
