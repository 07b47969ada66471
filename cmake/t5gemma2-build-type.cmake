# Without a build type nothing is optimised, and products of matrices suffer most.
get_property(t5gemma2_several_types GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT t5gemma2_several_types AND NOT CMAKE_BUILD_TYPE AND NOT " ${CMAKE_CXX_FLAGS}" MATCHES " -O")
  message(WARNING "t5gemma2: no build type, so nothing is optimised and models run many times slower; "
                  "configure with -DCMAKE_BUILD_TYPE=Release")
endif()
unset(t5gemma2_several_types)
