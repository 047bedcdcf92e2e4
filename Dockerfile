# One image for each program: docker build --target operator (or hello-http, hello-grpc, register) .
# build/images.ts makes the same ones without Docker; a test compares both.

FROM node:24-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY build build
COPY crds crds
COPY services services
COPY src src
RUN npm run generate && npm run bundle

# glibc, libstdc++ and CA certificates; no shell, no package manager. Node is the one of package-lock.json.
FROM gcr.io/distroless/cc-debian12:nonroot AS node
COPY --from=build /src/node_modules/node-linux-*/bin/node /usr/local/bin/node
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/node", "/app/main.mjs"]

FROM node AS hello-http
COPY --from=build /src/out/bundle/hello-http.mjs /app/main.mjs
EXPOSE 8080

FROM node AS hello-grpc
COPY --from=build /src/out/bundle/hello-grpc.mjs /app/main.mjs
EXPOSE 50051 9090

FROM node AS register
COPY --from=build /src/out/bundle/register.mjs /app/main.mjs
EXPOSE 8080

FROM node AS operator
COPY --from=build /src/out/bundle/operator.mjs /app/main.mjs
EXPOSE 18000 8080 8081
