// Everything of zoocache but the Asio adaptor (zoocache/asio.h).
#pragma once

#include <zoocache/async.h>
#include <zoocache/cache.h>
#include <zoocache/codec.h>
#include <zoocache/deps.h>
#include <zoocache/errors.h>
#include <zoocache/function.h>
#include <zoocache/load.h>
#include <zoocache/options.h>
