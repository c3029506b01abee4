// Convolutions of 3 x 3 with padding 1 and stride 1 in float32, and their weight gradients, by Winograd's
// minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray 2016): 36 products per tile of 16 pixels instead of 144.
//
// Maps are channels-last, (n, height, width, channels); height and width are multiples of 4, channels of 16.
// In the transformed domain an array holds 36 points x panels of 16 channels x rows x 16, a row being a tile
// or, in weights, an input channel, so that all loops below run over whole vectors.

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>

namespace {

constexpr int SIDE = 4, REACH = SIDE + 2, POINTS = REACH * REACH, LANES = 8, PANEL = 2 * LANES;
// Rows of a product that are kept in registers.
constexpr int ROWS = 6;
// Tiles that a thread transforms, multiplies and transforms back at once: they stay in its cache.
constexpr std::ptrdiff_t TILES = 24;
// Tiles over which weight gradients are summed at once, by all threads.
constexpr std::ptrdiff_t SUMMED_TILES = 96;

using Index = std::ptrdiff_t;
typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }

// How far apart two points of an array of rows x channels lie: a power of two would put all points of a row
// into the same few places of a cache.
Index apart(Index rows, Index channels) { return rows * channels + PANEL; }

struct Free {
    void operator()(float* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<float, Free>;
Buffer buffer(Index floats) {
    return Buffer(static_cast<float*>(std::aligned_alloc(64, (4 * floats + 63) / 64 * 64)));
}

// The points are 0, +-A, +-B and infinity. With the usual 1 and 2 rounding errors are twice as large.
constexpr float A = 0.625f, B = 1.5f, A2 = A * A, B2 = B * B, A3 = A * A2, B3 = B * B2;
constexpr float SUM = A2 + B2, PRODUCT = A2 * B2, AT_A = 2 * A2 * (A2 - B2), AT_B = 2 * B2 * (B2 - A2);

// The transforms of one dimension, from every `s`-th of some vectors to every `s`-th of others.

struct Input {  // pixels to points
    static void apply(const Vector* d, Vector* o, int s) {
        Vector even_a = d[4 * s] - B2 * d[2 * s], odd_a = A * (d[3 * s] - B2 * d[s]);
        Vector even_b = d[4 * s] - A2 * d[2 * s], odd_b = B * (d[3 * s] - A2 * d[s]);
        o[0] = PRODUCT * d[0] - SUM * d[2 * s] + d[4 * s];
        o[s] = even_a + odd_a;
        o[2 * s] = even_a - odd_a;
        o[3 * s] = even_b + odd_b;
        o[4 * s] = even_b - odd_b;
        o[5 * s] = PRODUCT * d[s] - SUM * d[3 * s] + d[5 * s];
    }
};

struct Output {  // points to pixels
    static void apply(const Vector* m, Vector* o, int s) {
        Vector sum_a = m[s] + m[2 * s], difference_a = m[s] - m[2 * s];
        Vector sum_b = m[3 * s] + m[4 * s], difference_b = m[3 * s] - m[4 * s];
        o[0] = m[0] + sum_a + sum_b;
        o[s] = A * difference_a + B * difference_b;
        o[2 * s] = A2 * sum_a + B2 * sum_b;
        o[3 * s] = A3 * difference_a + B3 * difference_b + m[5 * s];
    }
};

struct OutputAdjoint {  // gradients of pixels to those of points
    static void apply(const Vector* g, Vector* o, int s) {
        Vector even_a = g[0] + A2 * g[2 * s], odd_a = A * g[s] + A3 * g[3 * s];
        Vector even_b = g[0] + B2 * g[2 * s], odd_b = B * g[s] + B3 * g[3 * s];
        o[0] = g[0];
        o[s] = even_a + odd_a;
        o[2 * s] = even_a - odd_a;
        o[3 * s] = even_b + odd_b;
        o[4 * s] = even_b - odd_b;
        o[5 * s] = g[3 * s];
    }
};

struct Weight {  // taps to points
    static void apply(const Vector* w, Vector* o, int s) {
        Vector even_a = (1 / AT_A) * (w[0] + A2 * w[2 * s]), odd_a = (A / AT_A) * w[s];
        Vector even_b = (1 / AT_B) * (w[0] + B2 * w[2 * s]), odd_b = (B / AT_B) * w[s];
        Vector last = w[2 * s];
        o[0] = (1 / PRODUCT) * w[0];
        o[s] = even_a + odd_a;
        o[2 * s] = even_a - odd_a;
        o[3 * s] = even_b + odd_b;
        o[4 * s] = even_b - odd_b;
        o[5 * s] = last;
    }
};

struct WeightAdjoint {  // gradients of points to those of taps
    static void apply(const Vector* u, Vector* o, int s) {
        Vector sum_a = (1 / AT_A) * (u[s] + u[2 * s]), difference_a = (A / AT_A) * (u[s] - u[2 * s]);
        Vector sum_b = (1 / AT_B) * (u[3 * s] + u[4 * s]), difference_b = (B / AT_B) * (u[3 * s] - u[4 * s]);
        o[0] = (1 / PRODUCT) * u[0] + sum_a + sum_b;
        o[s] = difference_a + difference_b;
        o[2 * s] = A2 * sum_a + B2 * sum_b + u[5 * s];
    }
};

// Apply a transform to both dimensions of a square that lies in rows of REACH, in place.
template <class Transform, int From>
void both(Vector* square) {
    Vector result[POINTS];
    for (int column = 0; column < From; ++column) Transform::apply(square + column, result + column, REACH);
    for (int row = 0; row < REACH; ++row) Transform::apply(result + row * REACH, square + row * REACH, 1);
}

struct Maps {
    Index height, width, channels;

    Index tiles() const { return height / SIDE * (width / SIDE); }

    // The place of the first pixel of a tile, which is counted over all images.
    void place(Index tile, Index& image, Index& y, Index& x) const {
        image = tile / tiles();
        y = tile % tiles() / (width / SIDE) * SIDE;
        x = tile % (width / SIDE) * SIDE;
    }
    Index at(Index image, Index y, Index x) const { return ((image * height + y) * width + x) * channels; }
};

// Read the `Side` x `Side` pixels of a tile that begin `before` pixels above and left of it.
template <int Side>
void read(const Maps& maps, const float* from, Index tile, int before, Index channel, Vector* square) {
    Index image, y, x;
    maps.place(tile, image, y, x);
    for (int i = 0; i < Side; ++i)
        for (int j = 0; j < Side; ++j) {
            Index row = y + i - before, column = x + j - before;
            bool inside = row >= 0 && row < maps.height && column >= 0 && column < maps.width;
            square[i * REACH + j] = inside ? load(from + maps.at(image, row, column) + channel) : Vector{};
        }
}

// Transform tile `first + tile` of maps, to row `tile` of a result with room for `room` tiles.
template <class Transform, int Side>
void transform(const Maps& maps, const float* from, Index first, Index room, Index tile, float* to) {
    for (Index channel = 0; channel < maps.channels; channel += LANES) {
        Vector square[POINTS];
        read<Side>(maps, from, first + tile, (Side - SIDE) / 2, channel, square);
        both<Transform, Side>(square);
        float* panel = to + (channel / PANEL * room + tile) * PANEL + channel % PANEL;
        for (int point = 0; point < POINTS; ++point)
            store(panel + point * apart(room, maps.channels), square[point]);
    }
}

// Rows x PANEL of M = V U at one point, over all input channels.
template <int Rows>
void multiply(const float* v, const float* u, float* m, Index channels, Index room) {
    Vector sum[Rows][2] = {};
    for (Index panel = 0; panel < channels / PANEL; ++panel, v += room * PANEL)
        for (int c = 0; c < PANEL; ++c, u += PANEL) {
            Vector left = load(u), right = load(u + LANES);
            for (int row = 0; row < Rows; ++row) {
                sum[row][0] += v[row * PANEL + c] * left;
                sum[row][1] += v[row * PANEL + c] * right;
            }
        }
    for (int row = 0; row < Rows; ++row) {
        store(m + row * PANEL, sum[row][0]);
        store(m + row * PANEL + LANES, sum[row][1]);
    }
}

// Rows x PANEL of U += V^T Z at one point, over some tiles.
template <int Rows>
void accumulate(const float* v, const float* z, float* u, Index tiles) {
    Vector sum[Rows][2];
    for (int row = 0; row < Rows; ++row) {
        sum[row][0] = load(u + row * PANEL);
        sum[row][1] = load(u + row * PANEL + LANES);
    }
    for (Index tile = 0; tile < tiles; ++tile, v += PANEL, z += PANEL) {
        Vector left = load(z), right = load(z + LANES);
        for (int row = 0; row < Rows; ++row) {
            sum[row][0] += v[row] * left;
            sum[row][1] += v[row] * right;
        }
    }
    for (int row = 0; row < Rows; ++row) {
        store(u + row * PANEL, sum[row][0]);
        store(u + row * PANEL + LANES, sum[row][1]);
    }
}

void multiply_all(const float* v, const float* u, float* m, Index in, Index out, Index room, Index count) {
    for (Index point = 0; point < POINTS; ++point)
        for (Index panel = 0; panel < out / PANEL; ++panel) {
            const float* weights = u + point * apart(in, out) + panel * PANEL * in;
            const float* from = v + point * apart(room, in);
            float* to = m + point * apart(room, out) + panel * PANEL * room;
            Index row = 0;
            for (; row + ROWS <= count; row += ROWS)
                multiply<ROWS>(from + row * PANEL, weights, to + row * PANEL, in, room);
            for (; row + 2 <= count; row += 2)
                multiply<2>(from + row * PANEL, weights, to + row * PANEL, in, room);
            for (; row < count; ++row)
                multiply<1>(from + row * PANEL, weights, to + row * PANEL, in, room);
        }
}

void finish(
    const Maps& maps, const float* m, const float* bias, Index first, Index count, Index room, float* to
) {
    for (Index tile = 0; tile < count; ++tile) {
        Index image, y, x;
        maps.place(first + tile, image, y, x);
        for (Index channel = 0; channel < maps.channels; channel += LANES) {
            Vector square[POINTS];
            const float* panel = m + (channel / PANEL * room + tile) * PANEL + channel % PANEL;
            for (int point = 0; point < POINTS; ++point)
                square[point] = load(panel + point * apart(room, maps.channels));
            both<Output, REACH>(square);
            Vector offset = bias ? load(bias + channel) : Vector{};
            for (int i = 0; i < SIDE; ++i)
                for (int j = 0; j < SIDE; ++j)
                    store(to + maps.at(image, y + i, x + j) + channel, square[i * REACH + j] + offset);
        }
    }
}

// The place of a tap of the weights.
Index at(const Index* strides, Index output, Index input, Index row, Index column) {
    return output * strides[0] + input * strides[1] + row * strides[2] + column * strides[3];
}

}  // namespace

extern "C" {

// strides: of the weights, in floats, from an output channel, an input channel, a row, a column to the next.
void condensery_convolve(
    const float* x, const float* weight, const Index* strides, const float* bias, float* y,
    Index images, Index height, Index width, Index in, Index out, int threads
) {
    const Maps from{height, width, in}, to{height, width, out};
    const Index tiles = images * from.tiles();
    const Index share = ((tiles + threads - 1) / threads + ROWS - 1) / ROWS * ROWS;
    const Index room = std::min(TILES, share);
    Buffer u = buffer(POINTS * apart(in, out));
#pragma omp parallel num_threads(threads)
    {
#pragma omp for
        for (Index k = 0; k < out; k += LANES)
            for (Index c = 0; c < in; ++c) {
                Vector square[POINTS];
                for (int i = 0; i < 3; ++i)
                    for (int j = 0; j < 3; ++j) {
                        const float* tap = weight + at(strides, k, c, i, j);
                        for (int lane = 0; lane < LANES; ++lane)
                            square[i * REACH + j][lane] = tap[lane * strides[0]];
                    }
                both<Weight, 3>(square);
                float* panel = u.get() + (k / PANEL * in + c) * PANEL + k % PANEL;
                for (int point = 0; point < POINTS; ++point)
                    store(panel + point * apart(in, out), square[point]);
            }
        Buffer v = buffer(POINTS * apart(room, in)), m = buffer(POINTS * apart(room, out));
#pragma omp for schedule(dynamic)
        for (Index first = 0; first < tiles; first += room) {
            Index count = std::min(room, tiles - first);
            for (Index tile = 0; tile < count; ++tile)
                transform<Input, REACH>(from, x, first, room, tile, v.get());
            multiply_all(v.get(), u.get(), m.get(), in, out, room, count);
            finish(to, m.get(), bias, first, count, room, y);
        }
    }
}

// gradient: of the weights, with strides as above.
void condensery_correlate(
    const float* x, const float* y, float* gradient, const Index* strides,
    Index images, Index height, Index width, Index in, Index out, int threads
) {
    const Maps from{height, width, in}, to{height, width, out};
    const Index tiles = images * from.tiles(), room = std::min(SUMMED_TILES, tiles), panels = out / PANEL;
    Buffer v = buffer(POINTS * apart(room, in)), z = buffer(POINTS * apart(room, out));
    Buffer u = buffer(POINTS * apart(in, out));
#pragma omp parallel num_threads(threads)
    {
#pragma omp for
        for (Index point = 0; point < POINTS; ++point)
            std::fill_n(u.get() + point * apart(in, out), in * out, 0.0f);
        for (Index first = 0; first < tiles; first += room) {
            const Index count = std::min(room, tiles - first);
#pragma omp for
            for (Index tile = 0; tile < count; ++tile) {
                transform<Input, REACH>(from, x, first, room, tile, v.get());
                transform<OutputAdjoint, SIDE>(to, y, first, room, tile, z.get());
            }
#pragma omp for
            for (Index part = 0; part < POINTS * panels; ++part) {
                const Index point = part / panels, own = part % panels * PANEL;
                const float* right = z.get() + point * apart(room, out) + own * room;
                const float* left = v.get() + point * apart(room, in);
                float* sum = u.get() + point * apart(in, out) + own * in;
                for (Index panel = 0; panel < in / PANEL; ++panel) {
                    accumulate<6>(left, right, sum, count);
                    accumulate<6>(left + 6, right, sum + 6 * PANEL, count);
                    accumulate<4>(left + 12, right, sum + 12 * PANEL, count);
                    left += room * PANEL;
                    sum += PANEL * PANEL;
                }
            }
        }
#pragma omp for
        for (Index k = 0; k < out; k += LANES)
            for (Index c = 0; c < in; ++c) {
                Vector square[POINTS];
                const float* panel = u.get() + (k / PANEL * in + c) * PANEL + k % PANEL;
                for (int point = 0; point < POINTS; ++point)
                    square[point] = load(panel + point * apart(in, out));
                both<WeightAdjoint, REACH>(square);
                for (int i = 0; i < 3; ++i)
                    for (int j = 0; j < 3; ++j) {
                        float* tap = gradient + at(strides, k, c, i, j);
                        for (int lane = 0; lane < LANES; ++lane)
                            tap[lane * strides[0]] = square[i * REACH + j][lane];
                    }
            }
    }
}
}
